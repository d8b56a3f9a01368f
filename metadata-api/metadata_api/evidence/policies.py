"""Policies: what a candidate needs to take an alias. An alias without one of its own has the default."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from metadata_api import aliases
from metadata_api.auth.principal import Principal
from metadata_api.database.evidence_tables import PolicyOfAlias
from metadata_api.database.tables import Alias
from metadata_api.errors import Forbidden
from metadata_api.schemas.policies import AliasPolicy, Policy
from serving_runtime.contracts import Role


def put(session: Session, name: str, policy: Policy, actor: str) -> AliasPolicy:
    """Give an alias a policy of its own; raises NotFound."""
    aliases.lock(session, name)
    alias_id = _alias_id(session, name)
    row = _own(session, alias_id)
    if row is None:
        row = PolicyOfAlias(alias_id=alias_id)
        session.add(row)
    row.policy, row.set_by, row.set_at = policy.model_dump(mode="json"), actor, func.now()
    session.flush()
    session.refresh(row)
    return _shown(row)


def show(session: Session, name: str) -> AliasPolicy:
    """The policy that holds for an alias; raises NotFound."""
    return of(session, _alias_id(session, name))


def of(session: Session, alias_id: int) -> AliasPolicy:
    """The same for an alias that is there."""
    row = _own(session, alias_id)
    return _shown(row) if row else AliasPolicy(is_default=True)


def delete(session: Session, name: str) -> None:
    """Let the default policy hold again; nothing happens when it does."""
    aliases.lock(session, name)
    if row := _own(session, _alias_id(session, name)):
        session.delete(row)


def require_free(session: Session, name: str, caller: Principal) -> None:
    """Raise Forbidden when an alias has a policy of its own, which only an admin may pass by.

    The name is locked before that is looked at: no policy comes until the transaction ends, which moves the alias.
    """
    aliases.lock(session, name)
    own = select(PolicyOfAlias.alias_id).join(Alias).where(Alias.name == name)
    if not caller.role.includes(Role.ADMIN) and session.scalar(own) is not None:
        raise Forbidden(
            "forbidden",
            f"Alias {name} has a policy: move it by POST /v1/aliases/{name}/promote, or ask an admin.",
        )


def _own(session: Session, alias_id: int) -> PolicyOfAlias | None:
    return session.scalar(select(PolicyOfAlias).where(PolicyOfAlias.alias_id == alias_id))


def _alias_id(session: Session, name: str) -> int:
    found = session.scalar(select(Alias.id).where(Alias.name == name))
    if found is None:
        raise aliases.unknown(name)
    return found


def _shown(row: PolicyOfAlias) -> AliasPolicy:
    return AliasPolicy(**row.policy, is_default=False, set_by=row.set_by, set_at=row.set_at)
