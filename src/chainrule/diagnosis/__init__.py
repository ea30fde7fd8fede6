"""Diagnosis: findings with evidence, cause and fix; and the checks before training."""

from .before import Preflight as Preflight
from .before import preflight as preflight
from .checks import CHECKS as CHECKS
from .finding import Finding as Finding
from .finding import Fix as Fix
from .rule import RULES as RULES
from .rule import Rule as Rule
from .rule import rules_with as rules_with
from .story import Story as Story
from .verdict import Diagnosis as Diagnosis
from .verdict import diagnose as diagnose
from .verdict import judge as judge
