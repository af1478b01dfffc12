#!/usr/bin/env bash
# Four npm packages: a PUT of a stream is redirected by 307, which keeps method and body, as registries do with uploads.
# got 14.6.6, make-fetch-happen 15.0.6, needle 3.5.0 and superagent 10.4.2 follow, send an empty body to the second
# address, and return its 201, without an error. The guards of two of them are elsewhere: got raises "Cannot retry with
# consumed body stream" if the server answers 503, and minipass-fetch 5.0.2, to which make-fetch-happen adds redirects
# of its own, "Cannot follow redirect with body being a readable stream". undici 7.30.2 returns the 307.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

javascript got@14.6.6 make-fetch-happen@15.0.6 minipass-fetch@5.0.2 needle@3.5.0 superagent@10.4.2 undici@7.30.2
cat >put.mjs <<'JAVASCRIPT'
import { once } from "node:events";
import http from "node:http";
import { Readable } from "node:stream";
import got from "got";
import makeFetchHappen from "make-fetch-happen";
import minipassFetch from "minipass-fetch";
import needle from "needle";
import superagent from "superagent";
import { Agent, interceptors, request } from "undici";

let arrived;
const server = http.createServer(async (request, response) => {
  let size = 0;
  for await (const chunk of request) size += chunk.length;
  arrived.push(size);
  const status = { "/first": 307, "/busy": 503 }[request.url] ?? 201;
  response.writeHead(status, status === 307 ? { Location: "/second" } : {}).end();
});
await once(server.listen(0, "127.0.0.1"), "listening");
const first = `http://127.0.0.1:${server.address().port}/first`;
const content = () => Readable.from([Buffer.alloc(1000), Buffer.alloc(1000)]);

async function put(name, send) {
  arrived = [];
  const result = await send().catch((error) => error.message.split(":")[0]);
  console.log(`${name}: ${result}, bytes that arrived: ${arrived.join(" ")}`);
}
const fetched = (fetch) => async () => (await fetch(first, { method: "PUT", body: content() })).status;
await put("got", async () => (await got.put(first, { body: content() })).statusCode);
await put("make-fetch-happen", fetched(makeFetchHappen));
await put("needle", async () => (await needle("put", first, content(), { follow_max: 1, follow_keep_method: true })).statusCode);
await put("superagent", async () => {
  const sent = superagent.put(first);
  const answered = once(sent, "response");
  content().pipe(sent);
  return (await answered)[0].status;
});
await put("got, 503", async () => (await got.put(first.replace("first", "busy"), { body: content() })).statusCode);
await put("minipass-fetch", fetched(minipassFetch));
const dispatcher = new Agent().compose(interceptors.redirect({ maxRedirections: 1 }));
await put("undici", async () => (await request(first, { method: "PUT", body: content(), dispatcher })).statusCode);
process.exit();
JAVASCRIPT
expect 'got: 201, bytes that arrived: 2000 0
make-fetch-happen: 201, bytes that arrived: 2000 0
needle: 201, bytes that arrived: 2000 0
superagent: 201, bytes that arrived: 2000 0
got, 503: Cannot retry with consumed body stream, bytes that arrived: 2000
minipass-fetch: Cannot follow redirect with body being a readable stream, bytes that arrived: 2000
undici: 307, bytes that arrived: 2000' "$(node put.mjs)"
