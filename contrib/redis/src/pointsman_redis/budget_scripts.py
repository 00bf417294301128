"""Budgets, as scripts that run inside of Redis: each in one step that nothing comes between.

An account is a hash and a sorted set. The hash has what was spent in each part of a window (`s` and the
second in which the part begins), what is held in it (`t`), each hold (`h` and its id: part, units), and each
that expired and may still be put right (`x`). The set has the holds by the instant at which they expire.
Windows are those of `BudgetWindow`, by the server's clock.

KEYS all have one hash tag: in a cluster they are on one node.
"""

_ACCOUNTS = """
local clock = redis.call('TIME')
local now = tonumber(clock[1])
local us = now * 1000000 + tonumber(clock[2])
local LENGTHS = {hour = 3600, day = 86400, month = 2592000}
local PARTS = {hour = 60, day = 1800, month = 43200}

-- The number of the day on which a month begins: `days_from_civil` of Howard Hinnant.
local function first_of(year, month)
  if month > 12 then year, month = year + 1, month - 12 end
  local y = month <= 2 and year - 1 or year
  local era = math.floor(y / 400)
  local yoe = y - era * 400
  local doy = math.floor((153 * (month + (month > 2 and -3 or 9)) + 2) / 5)
  return era * 146097 + yoe * 365 + math.floor(yoe / 4) - math.floor(yoe / 100) + doy - 719468
end

local function month_of(days)
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local leaps = math.floor(doe / 1460) - math.floor(doe / 36524) + math.floor(doe / 146096)
  local yoe = math.floor((doe - leaps) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  return yoe + era * 400 + (month <= 2 and 1 or 0), month
end

-- Begin and end of the window of now, the part of now, and how long a part is.
local function window(per, kind)
  if kind == 'rolling' then
    local step = PARTS[per]
    local part = math.floor(now / step) * step
    return part - LENGTHS[per] + step, part + step, part, step
  end
  local from, to
  if per == 'month' then
    local year, month = month_of(math.floor(now / 86400))
    from, to = first_of(year, month) * 86400, first_of(year, month + 1) * 86400
  else
    from = math.floor(now / LENGTHS[per]) * LENGTHS[per]
    to = from + LENGTHS[per]
  end
  return from, to, from, to - from
end

local function text(n) return string.format('%.0f', n) end

local function expire(account, holds)
  local gone = redis.call('ZRANGEBYSCORE', holds, '-inf', us, 'LIMIT', 0, 1000)
  for _, id in ipairs(gone) do
    local held = redis.call('HGET', account, 'h' .. id)
    if held then
      local since, units = string.match(held, '(%d+) (%d+)')
      redis.call('HINCRBY', account, 't' .. since, '-' .. units)
      redis.call('HINCRBY', account, 's' .. since, units)
      redis.call('HDEL', account, 'h' .. id)
      redis.call('HSET', account, 'x' .. id, held)
    end
    redis.call('ZREM', holds, id)
  end
end

-- What left its window long ago; looked for when a part begins.
local function forget(account, before)
  local all = redis.call('HKEYS', account)
  for _, field in ipairs(all) do
    local kind, since = string.sub(field, 1, 1), nil
    if kind == 's' or kind == 't' then
      since = string.sub(field, 2)
    elseif kind == 'x' then
      since = string.match(redis.call('HGET', account, field), '(%d+) ')
    end
    if since and tonumber(since) < before then redis.call('HDEL', account, field) end
  end
end
"""

# KEYS: for each account its hash and its set. ARGV: id, us until it expires; for each account its units (-1:
# whatever is left), limit, per, kind, and what it begins with where the store does not know it.
HOLD = (
    _ACCOUNTS
    + """
local id, lease = ARGV[1], tonumber(ARGV[2])
local n = #KEYS / 2
-- The router asks once more where an answer is late: that one is held already, and would be settled once.
if redis.call('HEXISTS', KEYS[1], 'h' .. id) == 1 then return {1} end
local found = {}
for i = 1, n do
  local account, holds, at = KEYS[2 * i - 1], KEYS[2 * i], 5 * i - 2
  local units, limit, per, kind = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3]
  local from, to, part, step = window(per, kind)
  if redis.call('EXISTS', account) == 0 then
    redis.call('HSET', account, 's' .. text(part), ARGV[at + 4])
    redis.call('PEXPIRE', account, 2000 * LENGTHS[per])
  end
  expire(account, holds)
  local spent, held, parts = 0, 0, {}
  for since = from, to - 1, step do
    local both = redis.call('HMGET', account, 's' .. text(since), 't' .. text(since))
    local used, running = tonumber(both[1] or 0), tonumber(both[2] or 0)
    spent, held = spent + used, held + running
    table.insert(parts, {since, used + running})
  end
  local wanted = math.max(units, 1)
  if units >= 0 and spent + held + wanted > limit then
    local wait, over = -1, spent + held + wanted - limit
    if wanted <= limit then
      if kind == 'calendar' then
        wait = to * 1000000 - us
      else
        for _, each in ipairs(parts) do
          over = over - each[2]
          if over <= 0 then
            wait = math.max(0, (each[1] + LENGTHS[per]) * 1000000 - us)
            break
          end
        end
      end
    end
    return {0, i, text(spent), text(held), text(wait)}
  end
  found[i] = {part, math.max(units, 0), from, per}
end
for i = 1, n do
  local account, holds = KEYS[2 * i - 1], KEYS[2 * i]
  local part, units, from, per = unpack(found[i])
  if redis.call('HEXISTS', account, 't' .. text(part)) == 0 then forget(account, from) end
  redis.call('HSET', account, 'h' .. id, text(part) .. ' ' .. text(units))
  redis.call('HINCRBY', account, 't' .. text(part), text(units))
  redis.call('ZADD', holds, us + lease, id)
  local live = 2000 * LENGTHS[per] + math.ceil(lease / 1000)
  redis.call('PEXPIRE', account, live)
  redis.call('PEXPIRE', holds, live)
end
return {1}
"""
)

# KEYS as above. ARGV: for each account the id of the hold, and what was used.
SETTLE_HOLDS = """
for i = 1, #KEYS / 2 do
  local account, holds, id, used = KEYS[2 * i - 1], KEYS[2 * i], ARGV[2 * i - 1], ARGV[2 * i]
  local held = redis.call('HGET', account, 'h' .. id)
  local expired = redis.call('HGET', account, 'x' .. id)
  if held then
    local since, units = string.match(held, '(%d+) (%d+)')
    redis.call('HINCRBY', account, 't' .. since, '-' .. units)
    redis.call('HINCRBY', account, 's' .. since, used)
  elseif expired then
    local since, units = string.match(expired, '(%d+) (%d+)')
    redis.call('HINCRBY', account, 's' .. since, used)
    redis.call('HINCRBY', account, 's' .. since, '-' .. units)
  end
  redis.call('HDEL', account, 'h' .. id, 'x' .. id)
  redis.call('ZREM', holds, id)
end
return 1
"""

# KEYS: the sets. ARGV: for each the id, and us until it expires.
RENEW_HOLDS = """
local clock = redis.call('TIME')
local us = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
for i = 1, #KEYS do
  redis.call('ZADD', KEYS[i], 'XX', us + tonumber(ARGV[2 * i]), ARGV[2 * i - 1])
end
return 1
"""
