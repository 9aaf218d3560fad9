"""What is written into the audit log, and for how long it is kept."""

from datetime import timedelta

from pydantic import Field

from app.settings.sections import Seconds, Section


class AuditSettings(Section):
    """Who did what: `docs/audit.md`."""

    enabled: bool = True
    """Whether calls that change something, and refused ones, leave an entry. Each such call waits for
    one more commit, which those that come at once share."""
    keep: Seconds = timedelta(days=400)
    """Older entries are deleted; nothing else deletes any."""
    refusals_per_minute: int = Field(default=120, ge=0, le=100_000)
    """Entries a minute about refused calls of known callers, and as many about those of unknown ones; what is
    beyond is counted in one entry. Equal refusals within a second are one entry anyway. 0 writes none."""
