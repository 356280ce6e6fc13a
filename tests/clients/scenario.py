"""A program that uses the generated Python client as its user would: python scenario.py http://127.0.0.1:8000 KEY"""

from __future__ import annotations

import sys
from urllib.parse import parse_qs, urlsplit

import httpx
from concord_client import AuthenticatedClient as Client
from concord_client.api.organizations import (
    create_organization,
    get_organization,
    list_organizations,
    patch_organization,
)
from concord_client.models import (
    OrganizationFieldName,
    OrganizationFields,
    OrganizationIn,
    OrganizationKind,
    OrganizationOut,
    OrganizationPage,
    OrganizationPatch,
    OrganizationSort,
    Problem,
)
from concord_client.types import UNSET


def commas(request: httpx.Request) -> None:
    """The client repeats a parameter for each of its values; the registry reads them with commas (`explode: false`)."""
    joined: dict[str, str] = {}
    for name, value in request.url.params.multi_items():
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    request.url = request.url.copy_with(params=joined)


def main(address: str, key: str) -> None:
    with Client(base_url=address, token=key, httpx_args={"event_hooks": {"request": [commas]}}) as client:
        walk(client)
        pick(client)
        write(client)
        refused(client)


def walk(client: Client) -> None:
    """A list with a filter, from page to page."""
    found: list[OrganizationOut] = []
    cursor = None
    while True:
        page = list_organizations.sync(
            client=client, kind=[OrganizationKind.ORGAN, OrganizationKind.GROUP], sort=OrganizationSort.NAME_DOWN,
            limit=2, cursor=UNSET if cursor is None else cursor,
        )  # fmt: skip
        assert isinstance(page, OrganizationPage)
        found += [each for each in page.items if isinstance(each, OrganizationOut)]
        if page.next_ is None:
            break
        cursor = parse_qs(urlsplit(page.next_).query)["cursor"][0]
    assert len(found) == len({each.id for each in found}) > 2
    assert {each.kind for each in found} == {OrganizationKind.ORGAN, OrganizationKind.GROUP}


def pick(client: Client) -> None:
    """Some fields only."""
    wanted = [OrganizationFieldName.SLUG, OrganizationFieldName.KIND]
    page = list_organizations.sync(client=client, fields=wanted, limit=1)
    assert isinstance(page, OrganizationPage)
    (picked,) = page.items
    assert isinstance(picked, OrganizationFields)
    assert picked.to_dict().keys() == {"slug", "kind"}


def write(client: Client) -> None:
    """Create, read, and change what was read and nothing else."""
    created = create_organization.sync(
        client=client,
        body=OrganizationIn(name="A generated client", kind=OrganizationKind.OTHER),
        change_reason="A test",
    )
    assert isinstance(created, OrganizationOut)
    read = get_organization.sync_detailed(created.slug, client=client)
    assert isinstance(read.parsed, OrganizationOut)
    assert read.parsed == created
    tag = read.headers["ETag"]
    body = OrganizationPatch(acronym="GC")
    changed = patch_organization.sync(created.slug, client=client, body=body, if_match=tag)
    assert isinstance(changed, OrganizationOut)
    assert (changed.version, changed.acronym) == (created.version + 1, "GC")
    late = patch_organization.sync_detailed(created.slug, client=client, body=body, if_match=tag)
    assert late.status_code == 412
    assert isinstance(late.parsed, Problem)
    assert late.parsed["changed"] == ["acronym"]


def refused(client: Client) -> None:
    """A problem is an answer with a type, too."""
    problem = create_organization.sync(client=client, body=OrganizationIn(name="", kind=OrganizationKind.OTHER))
    assert isinstance(problem, Problem)
    assert problem.status == 422
    assert problem.errors
    assert problem.errors[0].pointer == "/name"


if __name__ == "__main__":
    main(*sys.argv[1:])
