"""API keys of a call: those of the settings, and those of the store, remembered for a moment."""

from app.domain.errors import UnauthenticatedError
from app.domain.identity import Principal
from app.policy.admission import CallHead
from app.policy.authentication.brake import FailureBrake
from app.policy.authentication.last_uses import LastUses
from app.policy.authentication.presented import presented_token, refused, token_digest
from app.policy.authentication.static_keys import StaticKeys
from app.policy.authentication.stored_keys import ID_PREFIX, StoredKeys
from app.policy.authentication.verified import VerifiedTokens


class ApiKeys:
    """The `Recogniser` of keys. Any token that comes here is meant as one: what is not known is refused."""

    def __init__(
        self,
        static: StaticKeys,
        stored: StoredKeys,
        *,
        verified: VerifiedTokens,
        uses: LastUses,
        brake: FailureBrake | None = None,
    ) -> None:
        self._static = static
        self._stored = stored
        self._verified = verified
        self._uses = uses
        self._brake = brake

    async def recognise(self, head: CallHead) -> Principal | None:
        """See `Recogniser`. A key seen within the last seconds costs one SHA-256 and a look into memory."""
        token = presented_token(head.metadata)
        if not token:
            return None
        digest = token_digest(token)
        principal = self._verified.known(digest)
        if principal is None:
            principal = await self._look_up(head, token, digest)
        self._uses.note(principal.credential_id)
        return principal

    async def stands(self, principal: Principal) -> bool:
        """Whether a key that was shown earlier would still be let in. Raises StorageUnavailableError."""
        if principal.credential_id.startswith(ID_PREFIX):
            return await self._stored.stands(principal)
        return self._static.stands(principal)

    async def _look_up(self, head: CallHead, token: str, digest: bytes) -> Principal:
        """Raises UnauthenticatedError, RateLimitedError, StorageUnavailableError."""
        if self._verified.is_bad(digest):
            raise refused()  # the same mistake again is no new guess, and costs nothing
        # A key that was good here before is let through to the store: those who share an address with
        # somebody who guesses (a proxy's, say) must not be locked out.
        if self._brake is not None and not self._verified.was_good(digest):
            self._brake.check(head.peer)
        generation = self._verified.generation
        principal, until = self._static.look_up(digest), None
        if principal is None:
            found = await self._stored.look_up(token, digest)
            if found is None:
                raise self._refused(head, digest)
            principal, until = found
        self._verified.keep(digest, principal, until=until, generation=generation)
        return principal

    def _refused(self, head: CallHead, digest: bytes) -> UnauthenticatedError:
        self._verified.refuse(digest)
        if self._brake is not None:
            self._brake.failed(head.peer)
        return refused()
