"""Who is looking: put on the request by the sign-in, read by every page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who has signed in. ``csrf`` goes into every form; ``language`` is ``zh_Hans`` or ``en``.

    ``now`` is when she asks, by the service's clock: what her page shows and what she does happens at that moment.
    """

    person_id: UUID
    face: str
    csrf: str
    language: str
    name: str
    now: datetime


class Refused(Exception):
    """This visitor does not get this page; ``status`` says how that is put (403, 404, ...)."""

    def __init__(self, status: int) -> None:
        super().__init__(f"refused with status {status}")
        self.status = status


def current(request: Request) -> Visitor:
    """The visitor of a request."""
    visitor: Visitor = request.state.visitor
    return visitor


def only(*faces: str) -> Callable[[Request], Visitor]:
    """A dependency that lets in visitors of these faces and refuses the others."""

    def dependency(request: Request) -> Visitor:
        visitor = current(request)
        if visitor.face not in faces:
            raise Refused(403)
        return visitor

    return dependency


AnyVisitor = Annotated[Visitor, Depends(current)]
Doctor = Annotated[Visitor, Depends(only("doctor"))]
CareWorker = Annotated[Visitor, Depends(only("care_worker"))]
Relative = Annotated[Visitor, Depends(only("family"))]
ResidentHerself = Annotated[Visitor, Depends(only("resident"))]
Administrator = Annotated[Visitor, Depends(only("administrator"))]
StaffOrAdministrator = Annotated[Visitor, Depends(only("care_worker", "administrator"))]
