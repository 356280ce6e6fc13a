"""The obvious way: the same nouns as the guides of FastAPI and SQLAlchemy would have them served, written well.

    python -m tests.benchmarks.obvious URL --port PORT

Mapped classes, an AsyncSession a request, `selectinload` for what hangs on a record, a response_model. It does less: no
history, no versions that are compared, no index of words, no keys, no evidence, no checks across records. It has the same rows
(`copied`), an index for what is asked of it here, twice as many connections and, on SQLite, the same promise to be on disk.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

import sqlalchemy as sa
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import AliasPath, BaseModel, ConfigDict, Field
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, joinedload, mapped_column, relationship, selectinload

from tests.benchmarks.limit import SERVER

CONNECTIONS = 16
"""One for each client of the load, and no more: one that is opened when they are used up is closed after its request."""
PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    "busy_timeout = 5000",
    "mmap_size = 268435456",
)
DRIVERS = {"sqlite": ("sqlite", "sqlite+aiosqlite"), "postgresql": ("postgresql+psycopg", "postgresql+psycopg")}
"""The driver that copies, and the one that serves."""
CHUNK = 1000


# --- tables -----------------------------------------------------------------------------------------------------------


def _now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """The parent of every table."""


class Record(Base):
    """What every noun has."""

    __abstract__ = True

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    slug: Mapped[str] = mapped_column(unique=True)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True), default=_now)
    updated_at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True), default=_now)


class OrganizationName(Base):
    """A further name of an organization."""

    __tablename__ = "organization_name"

    organization_id: Mapped[UUID] = mapped_column(sa.ForeignKey("organization.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[str]
    lang: Mapped[str | None]
    kind: Mapped[str]


class OrganizationIdentifier(Base):
    """An organization's number in somebody's register."""

    __tablename__ = "organization_identifier"
    __table_args__ = (sa.UniqueConstraint("scheme", "value"),)

    organization_id: Mapped[UUID] = mapped_column(sa.ForeignKey("organization.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    scheme: Mapped[str]
    value: Mapped[str]
    url: Mapped[str | None]


class Organization(Record):
    """An organization."""

    __tablename__ = "organization"

    name: Mapped[str] = mapped_column(index=True)
    acronym: Mapped[str | None]
    kind: Mapped[str] = mapped_column(index=True)
    description: Mapped[str | None]
    url: Mapped[str | None]
    country: Mapped[str | None] = mapped_column(index=True)
    founded: Mapped[str | None] = mapped_column("founded_edtf")
    dissolved: Mapped[str | None] = mapped_column("dissolved_edtf")
    other_names: Mapped[list[OrganizationName]] = relationship(order_by=OrganizationName.position)
    identifiers: Mapped[list[OrganizationIdentifier]] = relationship(order_by=OrganizationIdentifier.position)


class CollaborationType(Record):
    """What sort a collaboration is of."""

    __tablename__ = "collaboration_type"

    label: Mapped[str]


class CollaborationParticipant(Base):
    """An organization's part in a collaboration."""

    __tablename__ = "collaboration_participant"

    collaboration_id: Mapped[UUID] = mapped_column(sa.ForeignKey("collaboration.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(sa.ForeignKey("organization.id"), index=True)
    role: Mapped[str]
    period: Mapped[str | None] = mapped_column("period_edtf")
    note: Mapped[str | None]
    organization: Mapped[Organization] = relationship()


class CollaborationSdg(Base):
    """A goal that a collaboration serves."""

    __tablename__ = "collaboration_sdg"

    collaboration_id: Mapped[UUID] = mapped_column(sa.ForeignKey("collaboration.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    goal: Mapped[int]


class Collaboration(Record):
    """Organizations working together."""

    __tablename__ = "collaboration"

    title: Mapped[str] = mapped_column(index=True)
    summary: Mapped[str | None]
    type_id: Mapped[UUID] = mapped_column(sa.ForeignKey("collaboration_type.id"), index=True)
    status: Mapped[str]
    period: Mapped[str | None] = mapped_column("period_edtf")
    type: Mapped[CollaborationType] = relationship()
    sdgs: Mapped[list[CollaborationSdg]] = relationship(order_by=CollaborationSdg.position)
    participants: Mapped[list[CollaborationParticipant]] = relationship(order_by=CollaborationParticipant.position)


# --- what goes in and out ---------------------------------------------------------------------------------------------


class Name(BaseModel):
    """A further name."""

    model_config = ConfigDict(from_attributes=True)

    value: str
    lang: str | None = None
    kind: str


class Identifier(BaseModel):
    """A number in a register."""

    model_config = ConfigDict(from_attributes=True)

    scheme: str
    value: str
    url: str | None = None


class OrganizationIn(BaseModel):
    """An organization as it is written."""

    model_config = ConfigDict(from_attributes=True)

    name: Annotated[str, Field(min_length=1, max_length=255)]
    acronym: str | None = None
    other_names: list[Name] = []
    kind: str
    description: str | None = None
    url: str | None = None
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")] | None = None
    founded: str | None = None
    dissolved: str | None = None
    identifiers: list[Identifier] = []


class OrganizationOut(OrganizationIn):
    """An organization."""

    id: UUID
    slug: str
    version: int
    created_at: datetime
    updated_at: datetime


class OrganizationPatch(BaseModel):
    """What is changed of an organization."""

    acronym: str | None = None
    description: str | None = None


class OrganizationPage(BaseModel):
    """A page of organizations."""

    items: list[OrganizationOut]
    next: str | None


class Participant(BaseModel):
    """A part in a collaboration."""

    model_config = ConfigDict(from_attributes=True)

    organization: Annotated[str, Field(validation_alias=AliasPath("organization", "slug"))]
    role: str
    period: str | None
    note: str | None


class CollaborationOut(BaseModel):
    """A collaboration; `included`: the organizations that take part in it."""

    id: UUID
    slug: str
    version: int
    created_at: datetime
    updated_at: datetime
    title: str
    summary: str | None
    type: str
    status: str
    period: str | None
    sdgs: list[int]
    participants: list[Participant]
    included: list[OrganizationOut] | None = None


class Hit(BaseModel):
    """What was found."""

    model_config = ConfigDict(from_attributes=True)

    slug: str
    name: str


class Imported(BaseModel):
    """What an import did."""

    created: int


# --- the application --------------------------------------------------------------------------------------------------

WITH_PARTS = (selectinload(Organization.other_names), selectinload(Organization.identifiers))
TOGETHER = (joinedload(Collaboration.type), selectinload(Collaboration.sdgs))
NAMED = selectinload(Collaboration.participants).joinedload(CollaborationParticipant.organization)
INCLUDED = (NAMED.selectinload(Organization.other_names), NAMED.selectinload(Organization.identifiers))


class ListQuery(BaseModel):
    """What a list is asked for."""

    country: str | None = None
    kind: str | None = None
    updated_since: datetime | None = None
    sort: str = "slug"
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    offset: int = 0
    format: str = "json"

    def statement(self) -> sa.Select[Organization]:
        column = SORTS[self.sort.removeprefix("-")]
        found = sa.select(Organization).order_by(
            column.desc() if self.sort.startswith("-") else column, Organization.id
        )
        for field in ("country", "kind"):
            if (value := getattr(self, field)) is not None:
                found = found.where(getattr(Organization, field).in_(value.split(",")))
        if self.updated_since is not None:
            found = found.where(Organization.updated_at >= self.updated_since)
        return found.limit(self.limit).offset(self.offset)


SORTS: dict[str, Any] = {"slug": Organization.slug, "name": Organization.name}


def create_app(url: str) -> FastAPI:
    """The application on the database at `url`."""
    app = FastAPI(title="The obvious way")
    app.state.sessions = async_sessionmaker(_serving_engine(make_url(url)), expire_on_commit=False)
    app.include_router(router)
    return app


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.sessions() as opened:
        yield opened


Session = Annotated[AsyncSession, Depends(_session)]
router = APIRouter()


@router.get("/readyz")
async def ready() -> str:
    return "ready"


@router.get("/v1/organizations/{slug}")
async def fetch(slug: str, db: Session) -> OrganizationOut:
    return await _organization(db, slug)  # type: ignore[return-value]  # response_model reads its attributes


@router.get("/v1/organizations", response_model=OrganizationPage)
async def browse(request: Request, page: Annotated[ListQuery, Query()], db: Session) -> Any:
    if page.format == "ndjson":
        return StreamingResponse(_lines(request.app.state.sessions), media_type="application/x-ndjson")
    found = (await db.scalars(page.statement().options(*WITH_PARTS))).all()
    following = request.url.include_query_params(offset=page.offset + page.limit) if len(found) == page.limit else None
    return {"items": found, "next": str(following) if following else None}


@router.get("/v1/collaborations/{key}", response_model_exclude_none=True)
async def collaboration(key: str, db: Session, include: str | None = None) -> CollaborationOut:
    options = (*TOGETHER, *INCLUDED) if include else (*TOGETHER, NAMED)
    found = await db.scalar(sa.select(Collaboration).where(_is_named(key)).options(*options))
    if found is None:
        raise HTTPException(404)
    return _shown(found, included=include is not None)


@router.get("/v1/search")
async def search(q: str, db: Session, limit: int = 20) -> list[Hit]:
    found = sa.select(Organization).where(Organization.name.icontains(q, autoescape=True)).limit(limit)
    return (await db.scalars(found)).all()  # type: ignore[return-value]


@router.post("/v1/organizations", status_code=201)
async def create(given: OrganizationIn, db: Session) -> OrganizationOut:
    made = _made(given)
    db.add(made)
    try:
        await db.commit()
    except IntegrityError:
        raise HTTPException(409) from None
    return made  # type: ignore[return-value]


@router.patch("/v1/organizations/{slug}")
async def patch(slug: str, changes: OrganizationPatch, db: Session) -> OrganizationOut:
    found = await _organization(db, slug)
    for name, value in changes.model_dump(exclude_unset=True).items():
        setattr(found, name, value)
    found.version += 1
    found.updated_at = _now()
    await db.commit()
    return found  # type: ignore[return-value]


@router.post("/v1/import")
async def load(request: Request, db: Session) -> Imported:
    several = [_made(OrganizationIn.model_validate_json(line)) for line in (await request.body()).splitlines()]
    db.add_all(several)
    await db.commit()
    return Imported(created=len(several))


async def _organization(db: AsyncSession, slug: str) -> Organization:
    found = await db.scalar(sa.select(Organization).where(Organization.slug == slug).options(*WITH_PARTS))
    if found is None:
        raise HTTPException(404)
    return found


def _is_named(key: str) -> sa.ColumnElement[bool]:
    try:
        return Collaboration.id == UUID(key)
    except ValueError:
        return Collaboration.slug == key


def _shown(found: Collaboration, *, included: bool) -> CollaborationOut:
    organizations = {each.organization_id: each.organization for each in found.participants} if included else {}
    return CollaborationOut(
        id=found.id, slug=found.slug, version=found.version, created_at=found.created_at, updated_at=found.updated_at,
        title=found.title, summary=found.summary, type=found.type.slug, status=found.status, period=found.period,
        sdgs=[each.goal for each in found.sdgs],
        participants=[Participant.model_validate(each) for each in found.participants],
        included=[OrganizationOut.model_validate(each) for each in organizations.values()] if included else None,
    )  # fmt: skip


def _made(given: OrganizationIn) -> Organization:
    fields = given.model_dump(exclude={"other_names", "identifiers"})
    names = [OrganizationName(position=n, **each.model_dump()) for n, each in enumerate(given.other_names)]
    numbers = [OrganizationIdentifier(position=n, **each.model_dump()) for n, each in enumerate(given.identifiers)]
    slug = re.sub(r"[^a-z0-9]+", "-", given.name.lower()).strip("-")
    return Organization(slug=slug, **fields, other_names=names, identifiers=numbers)


async def _lines(sessions: async_sessionmaker[AsyncSession]) -> AsyncIterator[bytes]:
    """Every organization, a line each."""
    every = sa.select(Organization).order_by(Organization.slug).options(*WITH_PARTS).execution_options(yield_per=CHUNK)
    async with sessions() as db:
        async for part in (await db.stream_scalars(every)).partitions():
            yield b"".join(OrganizationOut.model_validate(each).model_dump_json().encode() + b"\n" for each in part)


# --- its database -----------------------------------------------------------------------------------------------------


def _serving_engine(url: URL) -> AsyncEngine:
    kind = url.get_backend_name()
    engine = create_async_engine(url.set(drivername=DRIVERS[kind][1]), pool_size=CONNECTIONS, max_overflow=0)
    if kind == "sqlite":
        _keep_promises(engine.sync_engine)
    return engine


def _keep_promises(engine: sa.Engine) -> None:
    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        for pragma in PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


def copied(source: str, target: str) -> None:
    """Put the rows of the registry at `source` into a blank database."""
    engines = [
        sa.create_engine(url.set(drivername=DRIVERS[url.get_backend_name()][0]))
        for url in map(make_url, (source, target))
    ]
    Base.metadata.create_all(engines[1])
    with engines[0].connect() as taken, engines[1].begin() as given:
        for table in Base.metadata.sorted_tables:
            for part in taken.execution_options(yield_per=CHUNK).execute(sa.select(table)).mappings().partitions():
                given.execute(sa.insert(table), [dict(row) for row in part])
    with engines[1].connect().execution_options(isolation_level="AUTOCOMMIT") as settled:
        settled.exec_driver_sql("ANALYZE")
    for engine in engines:
        engine.dispose()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.obvious")
    parser.add_argument("url")
    parser.add_argument("--port", type=int, required=True)
    asked = parser.parse_args()
    uvicorn.run(create_app(asked.url), port=asked.port, **SERVER)


if __name__ == "__main__":
    main()
