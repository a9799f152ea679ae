-- Admit a batch of submissions of one partition: vote lock and queue entry together, or neither.
--
-- KEYS[1] the stream; then for each item: its vote lock, its rate counter (the stream's key: no limit).
-- ARGV cap on the stream's length, seconds a lock lives, admissions a minute allowed, the entries' version; then for
-- each item: its entry ('' counts the rate only) and the lock's value.
-- Returns for each item: '+' admitted, 'full', 'rate <seconds>', or the value of the lock that was there.
local full, seconds, limit, version = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4]
local length = redis.call('XLEN', KEYS[1])
local outcomes = {}

for i = 1, (#KEYS - 1) / 2 do
  local lock, counter = KEYS[2 * i], KEYS[2 * i + 1]
  local entry, value = ARGV[2 * i + 3], ARGV[2 * i + 4]
  local held = entry ~= '' and redis.call('GET', lock)
  if held then
    outcomes[i] = held
  elseif entry ~= '' and length >= full then
    outcomes[i] = 'full'
  else
    local over = false
    if counter ~= KEYS[1] then
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
        redis.call('SET', lock, value, 'EX', seconds)
        length = length + 1
      end
      outcomes[i] = '+'
    end
  end
end
return outcomes
