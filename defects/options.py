"""How much a pass may say of the road. All of it is frozen in the day's context."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest import FixOptions

from .hits import JudgeOptions
from .jolts import JoltOptions
from .rough import RoughOptions


@dataclass(frozen=True)
class EvidenceOptions:
    """How much a pass may say; all of it stands in the day context.

    p_hit: chance that a wheel on its path meets a defect of half a metre in its square (.76). p_box, p_phone: chance
    that a jolt is felt when a wheel meets a severe defect. clutter_box, clutter_phone, clutter_camera: false alarms a
    metre. wheel_sigma_m: how far the place of a jolt is from the wheel's centre line (a tyre is .25 m wide, a pothole
    .5 m). finest_m, phone_4m_m, phone_16m_m: largest radius (68 %) at which evidence goes to 1, 4 and 16 m squares;
    beyond the last nothing is written. camera_sight_m: a detection farther from the box is not believed, or one box
    could speak of a whole city. least_share: a square with less of the position's weight gets nothing. carrier_jolt:
    what a jolt under a carrier is worth, as a share of its log-odds: a rider stands up, dodges and jumps kerbs, and
    who does not know his carrier does not know his scale. At 1 three bikes that take one kerb make it a hole, at 0 they
    may as well stay at home. carrier_quiet: what a quiet wheel path is worth: nothing on two wheels, which steer around
    what they see, and nothing where the wheels' track is unknown. witness: least weight of a device that counts as one
    of the devices that agree; lower, and three broken ones confirm a hole, higher, and no newcomer's phone does.
    summary_share: exposure of a quiet pass told by a summary, over that of samples. Half: nobody can see the samples
    again, places come from one fix a second, and a row's peak is the box's own word (proposed; more, and boxes with a
    wrong gate heal a city; less, and streets that only they drive stay grey: at .5 green takes six passes, not three).
    one_cause: a jolt has one cause, so a square that holds less of its place than the best one gets its log-odds times
    this power of the ratio. At 0 every square is asked by itself: squares beside a hole, on which no wheel ever rolls
    to heal them, turn red when the hole is mended, and twice as many reds lie on nothing; at 1 a hole on the edge of
    two squares is halved, and one in thirty more is missed (simulated, tuning streets of `roadcode bench fusion`).
    track_sigma_m: how far a wheel's line is from where half the track says it is: vehicles of one carrier differ. At 0
    a doubtful edge between squares is crossed for sure, at .3 no wheel is sure of a square. least_there: chance that
    the wheel was in a square from which its silence counts there; lower, and a driver who swerves around a hole heals
    it by the doubt of his place, higher, and squares whose edge a wheel follows stay grey. p_laser: chance that laser
    lines over a severe pothole show it (proposed: lines raise recall from .76 to .95 on simulated roads). Larger, and
    two passes make a lane green; smaller, and a laser is no better than two wheels. lane_m: width of what a camera
    looks at along its way; wider, and it vouches for the next lane, behind other vehicles. most_named: what one hit may
    say, at most, for or against a type; the recogniser confuses types more than it says, and without a bound one pass
    names a defect that ten name otherwise. named_squares: squares of a hit, at most, that hold its kind and size.
    models: name of the model (`defects/models`) that judges each kind of device; none where a kind is not named, and
    then a jolt is a jolt.
    """

    p_hit: float = 0.76
    p_box: float = 0.86
    p_phone: float = 0.6
    clutter_box: float = 0.001
    clutter_phone: float = 0.005
    clutter_camera: float = 0.002
    wheel_sigma_m: float = 0.25
    camera_sigma_m: float = 0.3
    camera_sight_m: float = 40.0
    finest_m: float = 0.5
    phone_4m_m: float = 5.0
    phone_16m_m: float = 10.0
    least_share: float = 0.05
    least_path_m: float = 0.5
    summary_share: float = 0.5
    one_cause: float = 0.5
    track_sigma_m: float = 0.08
    least_there: float = 0.8
    p_laser: float = 0.8
    lane_m: float = 3.0
    most_named: float = 3.0
    named_squares: int = 2
    half_track_m: dict[str, float] = field(
        default_factory=lambda: {"bus": 0.9, "sweeper": 0.8, "car": 0.75, "ebike": 0.0, "bike": 0.0, "unknown": 0.8}
    )
    carrier_jolt: dict[str, float] = field(
        default_factory=lambda: {
            "bus": 1.0, "sweeper": 1.0, "car": 1.0, "ebike": 0.5, "bike": 0.5, "unknown": 0.7,
        }
    )  # fmt: skip
    carrier_quiet: dict[str, float] = field(
        default_factory=lambda: {
            "bus": 1.0, "sweeper": 1.0, "car": 1.0, "ebike": 0.0, "bike": 0.0, "unknown": 0.0,
        }
    )  # fmt: skip
    witness: float = 0.5
    models: dict[str, str] = field(default_factory=lambda: {"box": "box", "phone": "phone"})
    judge: JudgeOptions = field(default_factory=JudgeOptions)
    jolt: JoltOptions = field(default_factory=JoltOptions)
    fixes: FixOptions = field(default_factory=FixOptions)
    rough: RoughOptions = field(default_factory=RoughOptions)
