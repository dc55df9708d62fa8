"""Reports of `doctor` as JSON."""

from collections.abc import Mapping

from linkspan.model.finding import Finding, Report


def report(found: Report) -> Mapping[str, object]:
    """Render GET /linkspan/doctor and POST /linkspan/repair."""
    return {
        "Healthy": found.healthy,
        "Engine": found.engine,
        "Mended": list(found.mended),
        "Findings": [_finding(finding) for finding in found.findings],
    }


def _finding(finding: Finding) -> Mapping[str, object]:
    return {
        "Level": finding.level.value,
        "Kind": finding.kind,
        "What": finding.what,
        "Why": finding.why,
        "Remedy": finding.remedy,
        "Repairable": finding.repairable,
    }
