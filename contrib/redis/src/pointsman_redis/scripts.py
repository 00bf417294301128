"""The decisions, as scripts that run inside of Redis: each in one step that nothing comes between.

Time is the server's, in whole microseconds. A limit is one value: when all that was taken is worked off
(`tat`), and what it takes to give back no more than the promise allows: as `Gcra` of the router has it, a
mark for each taking, and how low the backlog was at those since. Marks are times, so that one of a value that
is long gone means nothing to the next.

KEYS all have one hash tag: in a cluster they are on one node.
"""

_METERS = """
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])

local function load(key)
  local raw = redis.call('GET', key)
  if not raw then return nil end
  local m = cmsgpack.unpack(raw)
  return {tat = m[1], mark = m[2], idle = m[3], marks = m[4], lows = m[5]}
end

local function save(key, m, tolerance)
  local live = math.max(m.tat - now, 0) + math.max(tolerance, 1000000)
  redis.call('SET', key, cmsgpack.pack({m.tat, m.mark, m.idle, m.marks, m.lows}),
    'PX', math.ceil(live / 1000))
end
"""

# ARGV: limits; for each its interval in us, units, burst, whether more than that waits for a full bucket;
# then, where a place is wanted, whose key is the last one: places, id, us until it expires.
ADMIT = (
    _METERS
    + """
local n = tonumber(ARGV[1])
local meters, worst, lacking = {}, 0, 0
for i = 1, n do
  local at = 4 * i - 2
  local interval, units = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local burst, full = tonumber(ARGV[at + 2]), ARGV[at + 3] == '1'
  if units > burst and not full then return {0, i, -1} end
  local m = load(KEYS[i]) or {tat = 0, mark = 0, idle = 0, marks = {}, lows = {}}
  local backlog = math.max(m.tat - now, 0)
  local wait = backlog + (math.min(units, burst) - burst) * interval
  if wait > worst then worst, lacking = wait, i end
  meters[i] = {m, backlog, units * interval, burst * interval}
end
if lacking > 0 then return {0, lacking, worst} end

local places = tonumber(ARGV[4 * n + 2])
if places then
  local key, id = KEYS[n + 1], ARGV[4 * n + 3]
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  if redis.call('ZCARD', key) >= places and not redis.call('ZSCORE', key, id) then
    local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    return {0, n + 1, tonumber(first[2]) - now}
  end
  local lease = tonumber(ARGV[4 * n + 4])
  redis.call('ZADD', key, now + lease, id)
  redis.call('PEXPIRE', key, math.ceil(lease / 1000))
end

local receipt = {1}
for i = 1, n do
  local m, backlog, asked = meters[i][1], meters[i][2], meters[i][3]
  m.mark = math.max(now, m.mark + 1)
  if backlog > 0 then
    local lows, marks = m.lows, m.marks
    while #lows > 0 and lows[#lows] >= backlog do
      table.remove(lows)
      table.remove(marks)
    end
    table.insert(lows, backlog)
    table.insert(marks, m.mark)
    if #lows >= 64 then
      -- Coarser, on the safe side: of each pair the lower one at the later mark.
      m.lows, m.marks = {}, {}
      for k = 1, #lows, 2 do
        table.insert(m.lows, lows[k])
        table.insert(m.marks, marks[math.min(k + 1, #marks)])
      end
    end
  else
    m.idle, m.lows, m.marks = m.mark, {}, {}
  end
  m.tat = now + backlog + asked
  save(KEYS[i], m, meters[i][4])
  receipt[i + 1] = m.mark
end
return receipt
"""
)

# ARGV: corrections; for each the number of its key, the mark, us that were used beyond what was taken (below
# 0: less), and us of a whole burst; then, for each place that is free, the number of its key, and the id.
SETTLE = (
    _METERS
    + """
local n = tonumber(ARGV[1])
for i = 1, n do
  local at = 4 * i - 2
  local key, mark = KEYS[tonumber(ARGV[at])], tonumber(ARGV[at + 1])
  local more, tolerance = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local m = load(key)
  if m then  -- else it has been at rest for as long as a whole burst takes, and nothing is owed any more
    local room, lows, marks = m.tat - now, m.lows, m.marks
    if more >= 0 then
      m.tat = m.tat + more
    elseif mark >= m.idle and room > 0 then
      local back, since = -more, #marks + 1
      while since > 1 and marks[since - 1] > mark do since = since - 1 end
      if since > #marks then
        m.tat = m.tat - math.min(back, room)
      else
        back = math.min(back, room, lows[since])
        m.tat = m.tat - back
        for k = since, #lows do lows[k] = lows[k] - back end
        local first = since
        while first > 1 and lows[first - 1] >= lows[since] do first = first - 1 end
        for _ = first, since - 1 do
          table.remove(lows, first)
          table.remove(marks, first)
        end
      end
    end
    save(key, m, tolerance)
  end
end
for at = 4 * n + 2, #ARGV, 2 do
  redis.call('ZREM', KEYS[tonumber(ARGV[at])], ARGV[at + 1])
end
return n
"""
)

# KEYS: of the routers, then one for each place. ARGV: router, us until it and the places expire, the ids.
RENEW = """
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
local lease = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + lease, ARGV[1])
redis.call('PEXPIRE', KEYS[1], math.ceil(lease / 1000))
for i = 2, #KEYS do
  redis.call('ZADD', KEYS[i], now + lease, ARGV[i + 1])
  redis.call('PEXPIRE', KEYS[i], math.ceil(lease / 1000))
end
return redis.call('ZCARD', KEYS[1])
"""

# KEYS: until when each notice holds, and its text. ARGV: the channel, what it is about, its text, us.
PUBLISH = """
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1000)
if #gone > 0 then
  redis.call('ZREM', KEYS[1], unpack(gone))
  redis.call('HDEL', KEYS[2], unpack(gone))
end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[4]), ARGV[2])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
local live = math.ceil((tonumber(last[2]) - now) / 1000)
redis.call('PEXPIRE', KEYS[1], live)
redis.call('PEXPIRE', KEYS[2], live)
return redis.call('PUBLISH', ARGV[1], ARGV[3])
"""

# KEYS as above. Gives, for each notice that holds, its text and the us for which it still does.
HOLDING = """
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
local after = string.format('(%.0f', now)
local about = redis.call('ZRANGEBYSCORE', KEYS[1], after, '+inf', 'WITHSCORES', 'LIMIT', 0, 10000)
local held = {}
for i = 1, #about, 2 do
  table.insert(held, redis.call('HGET', KEYS[2], about[i]) or '')
  table.insert(held, tonumber(about[i + 1]) - now)
end
return held
"""
