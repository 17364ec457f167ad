"""Which of cosmic-ray's changes are asked for.

It makes each operator into every other: of one `&` eleven mutants, most of them no program that
anybody writes. Those that mutmut makes, too, are the usual ones; `--every` asks for the others.
"""

import re

_COMPARISONS = "Eq_NotEq NotEq_Eq Lt_LtE LtE_Lt Gt_GtE GtE_Gt Is_IsNot IsNot_Is"
_BINARIES = """
    Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Div Mod_Div Pow_Mul LShift_RShift RShift_LShift
    BitAnd_BitOr BitOr_BitAnd BitXor_BitAnd
"""
USUAL = {
    *("NumberReplacer", "AddNot", "RemoveDecorator", "ExceptionReplacer", "ZeroIterationForLoop"),
    *("ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd"),
    *("ReplaceContinueWithBreak", "ReplaceBreakWithContinue"),
    *(f"ReplaceUnaryOperator_Delete_{name}" for name in ("Not", "USub", "Invert")),
    *(f"ReplaceComparisonOperator_{name}" for name in _COMPARISONS.split()),
    *(f"ReplaceBinaryOperator_{name}" for name in _BINARIES.split()),
}
_OTHERS = "(Eq|NotEq|Lt|LtE|Gt|GtE)"
_IDENTITY = re.compile(f"_(Is|IsNot)_{_OTHERS}$|_{_OTHERS}_(Is|IsNot)$")


def is_usual(operator: str) -> bool:
    """By cosmic-ray's name of the change."""
    return operator.removeprefix("core/") in USUAL


def is_of_identity(operator: str) -> bool:
    """Whether it asks for the same object where values were compared, or the other way round.

    Which numbers are one object is CPython's affair, and what is compared by `is` has no order.
    """
    return _IDENTITY.search(operator) is not None
