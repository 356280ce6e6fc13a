-- Sends the requests of a file in turn, each a line with its length and then its bytes, as tests/benchmarks/load.py writes them.
-- wrk ... -- FILE FIRST: begin with the request FIRST (from 0).

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  requests, sent = {}, 0
  local file = assert(io.open(args[1], "rb"))
  local length = file:read("*n")
  while length do
    file:read(1)
    table.insert(requests, file:read(length))
    length = file:read("*n")
  end
  file:close()
  first = tonumber(args[2])
end

function request()
  sent = sent + 1
  return requests[(first + sent - 1) % #requests + 1]
end

function done(summary, latency)
  local sent, errors = 0, summary.errors
  for _, thread in ipairs(threads) do
    sent = sent + thread:get("sent")
  end
  io.write(string.format(
    '\n{"sent": %d, "answered": %d, "seconds": %f, "errors": %d, "p50": %f, "p99": %f}\n',
    sent, summary.requests, summary.duration / 1e6,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000
  ))
end
