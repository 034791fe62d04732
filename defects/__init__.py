"""What is it, and how bad? Defect types, evidence, and the health code of a square."""

from . import (
    learnt,
    planes,
    recode,
    register,
    register_store,
    register_text,
    retention,
    scales_store,
    store,
    taught,
    taught_store,
    turn,
)
from .cases import Case, join
from .cases import centre_m as case_centre_m
from .code import (
    BLOCK_CELLS,
    CODE,
    NO_KIND,
    Change,
    Codes,
    Colour,
    DamagedCodes,
    Flag,
    State,
    pack_codes,
    unknown_codes,
    unpack_codes,
)
from .evidence import UNIT, BlockEvidence, Deltas, fold, merge, tally
from .ground import HARMLESS, Ground, plain_ground
from .health import HealthOptions
from .listening import listen
from .naming import Name
from .observe import Finding, Observation, observe
from .options import EvidenceOptions
from .placing import place
from .public import PublicDay, last_public_day, public_days, publishable
from .rates import Rate, rate
from .rough import RoughOptions, rough_deltas
from .scales import ScaleOptions
from .sealing import evidence_leaf, slots_are_sealed, without_slots
from .severity import AREA_TYPES
from .shipped import load_model, model_digests, shipped_models
from .story import PassStory, pass_story
from .taxonomy import ALL_TYPES, BY_KEY, HAZARDS, LEAVES, OF_THE_STANDARD, TYPES, UNEVEN, DefectType, Leaf
from .told import Told
from .warm import warm_up

__all__ = [
    "ALL_TYPES",
    "AREA_TYPES",
    "BLOCK_CELLS",
    "BY_KEY",
    "CODE",
    "HARMLESS",
    "HAZARDS",
    "LEAVES",
    "NO_KIND",
    "OF_THE_STANDARD",
    "TYPES",
    "UNEVEN",
    "UNIT",
    "BlockEvidence",
    "Case",
    "Change",
    "Codes",
    "Colour",
    "DamagedCodes",
    "DefectType",
    "Deltas",
    "EvidenceOptions",
    "Finding",
    "Flag",
    "Ground",
    "HealthOptions",
    "Leaf",
    "Name",
    "Observation",
    "PassStory",
    "PublicDay",
    "Rate",
    "RoughOptions",
    "ScaleOptions",
    "State",
    "Told",
    "case_centre_m",
    "evidence_leaf",
    "fold",
    "join",
    "last_public_day",
    "learnt",
    "listen",
    "load_model",
    "merge",
    "model_digests",
    "observe",
    "pack_codes",
    "pass_story",
    "place",
    "plain_ground",
    "planes",
    "public_days",
    "publishable",
    "rate",
    "recode",
    "register",
    "register_store",
    "register_text",
    "retention",
    "rough_deltas",
    "scales_store",
    "shipped_models",
    "slots_are_sealed",
    "store",
    "tally",
    "taught",
    "taught_store",
    "turn",
    "unknown_codes",
    "unpack_codes",
    "warm_up",
    "without_slots",
]
