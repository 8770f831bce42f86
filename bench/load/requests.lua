-- Requests that differ in the parameter `user`, made once and sent in turn.
-- BENCH_USERS names a file with one user a line.
local requests, at = {}, 0

function init(args)
  for user in io.lines(os.getenv("BENCH_USERS")) do
    requests[#requests + 1] = wrk.format("GET", "/call?user=" .. user, {
      ["Host"] = "bench.invalid",
      ["User-Agent"] = "bench",
      ["Accept"] = "*/*",
    })
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end
