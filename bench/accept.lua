-- wrk's script: POST /v1/calls, each with a random customer's key and number, to a random number of the deck.
-- Arguments: the file of callers (a line `key number` each), how many rates there are.
-- Ends by printing one line of JSON, the fields of bench.clients.Answers.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
  thread:set("number", #threads)
end

function init(arguments)
  math.randomseed(number)
  callers, statuses, rates = {}, {}, tonumber(arguments[2])
  for line in io.lines(arguments[1]) do
    local key, from = line:match("(%S+) (%S+)")
    table.insert(callers, {
      headers = { ["Authorization"] = "Bearer " .. key, ["Content-Type"] = "application/json" },
      from = from,
    })
  end
end

function request()
  local caller = callers[math.random(#callers)]
  local to = string.format("+1%06d%04d", 199999 + math.random(rates), math.random(0, 9999))
  local body = string.format('{"from":"%s","to":"%s","metadata":{"order":"%s"}}', caller.from, to, to)
  return wrk.format("POST", nil, caller.headers, body)
end

function response(status)
  local name = tostring(status)
  statuses[name] = (statuses[name] or 0) + 1
end

function done(summary, latency)
  local sums, parts = {}, {}
  for _, thread in ipairs(threads) do
    for name, count in pairs(thread:get("statuses")) do
      sums[name] = (sums[name] or 0) + count
    end
  end
  for name, count in pairs(sums) do
    table.insert(parts, string.format('"%s":%d', name, count))
  end
  local errors = summary.errors
  io.write(string.format(
    '{"statuses":{%s},"broken":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f}\n',
    table.concat(parts, ","),
    errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6,
    latency:percentile(50) / 1000,
    latency:percentile(99) / 1000
  ))
end
