// A program that uses the generated types as their user would. `schema.ts` is made by openapi-typescript.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Organization = components["schemas"]["OrganizationOut"];
type Client = ReturnType<typeof createClient<paths, "application/json" | "application/problem+json">>;
/** `next` is a reference: it has no host. */
const HERE = "http://127.0.0.1";

function assert(holds: unknown, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

/** A record is whole, or has only the fields that were asked for. */
function whole(shown: Organization | components["schemas"]["OrganizationFields"]): shown is Organization {
  return shown.id !== undefined && shown.name !== undefined;
}

export async function run(address: string, key: string): Promise<void> {
  // Several values of a parameter go into one, with commas.
  const client = createClient<paths, "application/json" | "application/problem+json">({
    baseUrl: address,
    headers: { Authorization: `Bearer ${key}` },
    querySerializer: { array: { style: "form", explode: false } },
  });
  await walk(client);
  await pick(client);
  await write(client);
  await refused(client);
}

/** A list with a filter, from page to page. */
async function walk(client: Client): Promise<void> {
  const found: Organization[] = [];
  let cursor: string | undefined;
  do {
    const { data } = await client.GET("/v1/organizations", {
      params: { query: { kind: ["organ", "group"], sort: "-name", limit: 2, cursor } },
    });
    assert(data, "a page");
    found.push(...data.items.filter(whole));
    cursor = data.next === null ? undefined : (new URL(data.next, HERE).searchParams.get("cursor") ?? undefined);
  } while (cursor !== undefined);
  assert(found.length > 2 && new Set(found.map((each) => each.id)).size === found.length, "each record once");
  assert(found.every(({ kind }) => kind === "organ" || kind === "group"), "the kinds that were asked for");
}


/** Some fields only. */
async function pick(client: Client): Promise<void> {
  const { data } = await client.GET("/v1/organizations", { params: { query: { fields: ["slug", "kind"], limit: 1 } } });
  assert(data?.items[0], "a record");
  assert(Object.keys(data.items[0]).sort().join() === "kind,slug", "the fields that were asked for");
}

/** Create, read, and change what was read and nothing else. */
async function write(client: Client): Promise<void> {
  const { data: created } = await client.POST("/v1/organizations", {
    params: { header: { "Change-Reason": "A test" } },
    body: { name: "A generated client in TypeScript", kind: "other" },
  });
  assert(created, "created");
  const path = { organization_id: created.slug };
  const read = await client.GET("/v1/organizations/{organization_id}", { params: { path } });
  const tag = read.response.headers.get("ETag");
  assert(tag, "an entity-tag");
  const change = { params: { path, header: { "If-Match": tag } }, body: { acronym: "GC" } };
  const { data: changed } = await client.PATCH("/v1/organizations/{organization_id}", change);
  assert(changed?.version === created.version + 1 && changed.acronym === "GC", "changed");
  const late = await client.PATCH("/v1/organizations/{organization_id}", change);
  assert(late.error?.status === 412, "an old version is refused");
}

/** A problem is an answer with a type, too. */
async function refused(client: Client): Promise<void> {
  const { error } = await client.POST("/v1/organizations", { body: { name: "", kind: "other" } });
  assert(error?.status === 422 && error.errors?.[0]?.pointer === "/name", "the field is named");
}
