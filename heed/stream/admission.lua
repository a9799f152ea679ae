-- Admit a batch of submissions of one partition: vote lock and queue entry together, or neither.
--
-- KEYS[1] the stream; then for each item: its vote lock, its rate counter (the stream's key where unused).
-- ARGV[1] cap on the stream's length, ARGV[2] seconds a lock lives; then for each item: version, entry ('' counts
-- the rate only), the lock's value, admissions a minute allowed (0: no limit).
-- Returns for each item: '+' admitted, 'full', 'rate <seconds>', or the value of the lock that was there.
local full = tonumber(ARGV[1])
local length = redis.call('XLEN', KEYS[1])
local outcomes = {}

for i = 1, (#KEYS - 1) / 2 do
  local lock, counter = KEYS[2 * i], KEYS[2 * i + 1]
  local version, entry, value, limit = unpack(ARGV, 4 * i - 1, 4 * i + 2)
  limit = tonumber(limit)
  local held = entry ~= '' and redis.call('GET', lock)
  if held then
    outcomes[i] = held
  elseif entry ~= '' and length >= full then
    outcomes[i] = 'full'
  else
    local over = false
    if limit > 0 then
      local count = redis.call('INCR', counter)
      if count == 1 then
        redis.call('EXPIRE', counter, 60)
      end
      over = count > limit
    end
    if over then
      outcomes[i] = 'rate ' .. redis.call('TTL', counter)
    else
      if entry ~= '' then
        redis.call('XADD', KEYS[1], '*', 'v', version, 'entry', entry)
        redis.call('SET', lock, value, 'EX', ARGV[2])
        length = length + 1
      end
      outcomes[i] = '+'
    end
  end
end
return outcomes
