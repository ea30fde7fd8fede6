"""Diagnosis: findings with evidence, cause and fix; `before` has the checks before training."""

from .finding import Finding as Finding
from .finding import Fix as Fix
from .rule import RULES as RULES
from .rule import Rule as Rule
from .rule import rules_with as rules_with
from .story import Story as Story
from .verdict import Diagnosis as Diagnosis
from .verdict import diagnose as diagnose
from .verdict import judge as judge
