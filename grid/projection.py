"""The one UTM zone of a city: from degrees to metres and back, and how far past its border it may be used.

| degrees from the central meridian | where | one square of 1 m is truly, at the equator / at 30 / at 60 degrees |
|---|---|---|
| 0 | the meridian | 1.0008 / 1.0008 / 1.0008 m² |
| 3 | the zone's border | 0.9980 / 0.9987 / 1.0001 m² |
| 4 | a degree past it | 0.9959 / 0.9971 / 0.9996 m² |
| 4.4 | as far as anything is taken (`REACH_DEG`) | 0.9949 / 0.9964 / 0.9993 m² |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Metres = NDArray[np.float64]

REACH_DEG = 4.4
"""Degrees from the central meridian to which a city's one zone is used; the border lies at 3. Smaller, and a city on
both sides of a border (Hangzhou) loses its outer districts; at 4.5 the easting falls below zero at the equator, where a
square has no number."""

# WGS 84 and its projection. CGCS2000 differs by 0.1 mm in the semi-minor axis.
_A_M = 6_378_137.0
_F = 1 / 298.257223563
_K0 = 0.9996
_FALSE_EASTING_M = 500_000.0
_FALSE_NORTHING_M = 10_000_000.0

# Krüger series to n**4 (Karney 2011, eq. 35 and 36): the first term left out is under 1e-7 m within a zone.
_N = _F / (2 - _F)
_RADIUS_M = _A_M / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64)
_ALPHA = (
    _N / 2 - 2 / 3 * _N**2 + 5 / 16 * _N**3 + 41 / 180 * _N**4,
    13 / 48 * _N**2 - 3 / 5 * _N**3 + 557 / 1440 * _N**4,
    61 / 240 * _N**3 - 103 / 140 * _N**4,
    49561 / 161280 * _N**4,
)
_BETA = (
    _N / 2 - 2 / 3 * _N**2 + 37 / 96 * _N**3 - 1 / 360 * _N**4,
    1 / 48 * _N**2 + 1 / 15 * _N**3 - 437 / 1440 * _N**4,
    17 / 480 * _N**3 - 37 / 840 * _N**4,
    4397 / 161280 * _N**4,
)
_DELTA = (
    2 * _N - 2 / 3 * _N**2 - 2 * _N**3 + 116 / 45 * _N**4,
    7 / 3 * _N**2 - 8 / 5 * _N**3 - 227 / 45 * _N**4,
    56 / 15 * _N**3 - 136 / 35 * _N**4,
    4279 / 630 * _N**4,
)
_E2N = 2 * np.sqrt(_N) / (1 + _N)


class OutsideZone(ValueError):
    """A place is beyond what the city's one UTM zone can hold."""


@dataclass(frozen=True)
class Zone:
    """The one UTM zone of a city. A city that lies on a border keeps its zone past it: the table above says what
    becomes of a square's area, `within_reach` how far that goes."""

    number: int
    north: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.number <= 60:
            raise ValueError(f"a UTM zone is 1 to 60, not {self.number}: mend utm_zone in city.toml")

    @property
    def meridian_deg(self) -> float:
        """Longitude of the central meridian."""
        return self.number * 6.0 - 183.0


def within_reach(lon_deg: ArrayLike, lat_deg: ArrayLike, zone: Zone) -> NDArray[np.bool_]:
    """Which positions (degrees, any shape) the zone may hold: in its hemisphere, up to 84 degrees from the equator (80
    in the south) as UTM is defined, and within `REACH_DEG` of its meridian. NaN is not within."""
    lon, lat = np.asarray(lon_deg, dtype=np.float64), np.asarray(lat_deg, dtype=np.float64)
    height = (lat >= 0) & (lat <= 84) if zone.north else (lat < 0) & (lat >= -80)
    return np.asarray(height & (np.abs(lon - zone.meridian_deg) <= REACH_DEG))


def project(lon_deg: ArrayLike, lat_deg: ArrayLike, zone: Zone) -> tuple[Metres, Metres]:
    """Easting and northing, float64 metres, of positions given in degrees (WGS 84), any shape.

    The series of sines runs by Clenshaw's recurrence with the sine and cosine of twice the angle, which come from the
    tangent without another transcendental function: twice as fast as summing sines, and within 1e-8 m of it. Nothing is
    checked here: `within_reach` says what a zone may hold.
    """
    lat = np.radians(np.asarray(lat_deg, dtype=np.float64))
    lam = np.radians(np.asarray(lon_deg, dtype=np.float64) - zone.meridian_deg)
    sin_lat = np.sin(lat)
    cos_lat = np.sqrt(1 - sin_lat * sin_lat)
    sigma = np.sinh(_E2N * np.arctanh(_E2N * sin_lat))
    t = (sin_lat * np.sqrt(1 + sigma * sigma) - sigma) / cos_lat  # tangent of the conformal latitude
    cos_lam = np.cos(lam)
    h2 = t * t + cos_lam * cos_lam
    sinh = np.sin(lam) / np.sqrt(h2)
    xi, eta = np.arctan2(t, cos_lam), np.arcsinh(sinh)
    sin2, cos2 = 2 * t * cos_lam / h2, (cos_lam * cos_lam - t * t) / h2
    sinh2, cosh2 = 2 * sinh * np.sqrt(1 + sinh * sinh), 1 + 2 * sinh * sinh
    # sum of a_j sin(2 j z) over complex z = xi + i eta: 2 cos(2 z) is c_re + i c_im
    c_re, c_im = 2 * cos2 * cosh2, -2 * sin2 * sinh2
    u_re: Metres | float = 0.0
    u_im: Metres | float = 0.0
    v_re: Metres | float = 0.0
    v_im: Metres | float = 0.0
    for a in reversed(_ALPHA):
        u_re, u_im, v_re, v_im = a + c_re * u_re - c_im * u_im - v_re, c_re * u_im + c_im * u_re - v_im, u_re, u_im
    s_re, s_im = sin2 * cosh2, cos2 * sinh2
    northing = xi + s_re * u_re - s_im * u_im
    easting = eta + s_re * u_im + s_im * u_re
    false_m = 0.0 if zone.north else _FALSE_NORTHING_M
    return _FALSE_EASTING_M + _K0 * _RADIUS_M * easting, _K0 * _RADIUS_M * northing + false_m


def unproject(easting_m: ArrayLike, northing_m: ArrayLike, zone: Zone) -> tuple[Metres, Metres]:
    """Longitude and latitude, float64 degrees, of positions given in metres of the zone; the inverse of `project`."""
    eta0 = (np.asarray(easting_m, dtype=np.float64) - _FALSE_EASTING_M) / (_K0 * _RADIUS_M)
    xi0 = (np.asarray(northing_m, dtype=np.float64) - (0.0 if zone.north else _FALSE_NORTHING_M)) / (_K0 * _RADIUS_M)
    xi, eta = xi0.copy(), eta0.copy()
    for j, b in enumerate(_BETA, start=1):
        xi -= b * np.sin(2 * j * xi0) * np.cosh(2 * j * eta0)
        eta -= b * np.cos(2 * j * xi0) * np.sinh(2 * j * eta0)
    chi = np.arcsin(np.sin(xi) / np.cosh(eta))
    lat = chi.copy()
    for j, d in enumerate(_DELTA, start=1):
        lat += d * np.sin(2 * j * chi)
    lon = np.degrees(np.arctan2(np.sinh(eta), np.cos(xi))) + zone.meridian_deg
    return lon, np.degrees(lat)
