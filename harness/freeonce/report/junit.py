"""`run --junit`: a test case a scenario. Pure."""

from collections.abc import Sequence

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from freeonce.audit.model import Verdict
from freeonce.campaign import Result
from freeonce.report.words import sentence


def _case(result: Result) -> TestCase:
    judgement = result.judgement
    case = TestCase(result.scenario.name, "freeonce", result.seconds)
    words = [sentence(one, result.why.get(one)) for one in judgement.findings]
    text = "\n".join([*words, *judgement.reasons])
    if judgement.verdict is Verdict.INCOMPLETE:
        case.result = [Error(text, "incomplete")]
    elif judgement.verdict is Verdict.UNSUPPORTED:
        case.result = [Skipped(text, "unsupported")]
    elif not result.as_expected:
        case.result = [Failure(text or "clean, but a fault was expected", str(judgement.verdict))]
    else:
        case.system_out = text
    return case


def junit_text(results: Sequence[Result]) -> str:
    """The report as XML."""
    suite = TestSuite("freeonce")
    for result in results:
        suite.add_testcase(_case(result))
    xml = JUnitXml()
    xml.add_testsuite(suite)
    return bytes(xml.tostring()).decode()  # type: ignore[no-untyped-call]
