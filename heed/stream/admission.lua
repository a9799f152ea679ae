-- Admit a batch of submissions of one partition: vote lock and queue entry together, or neither.
--
-- KEYS[1] the stream; then for each item: its vote lock, its address's counter, its survey's counter (each the stream's
-- key: not counted).
-- ARGV cap on the stream's length, seconds a lock lives, admissions a minute and address, the entries' version; then for
-- each item: its entry ('' counts the address only), the lock's value, admissions a minute to the survey that raise no
-- suspicion.
-- Returns for each item: '+' admitted, 'full', 'rate <seconds>', or the value of the lock that was there.
local full, seconds, limit, version = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4]
local length = redis.call('XLEN', KEYS[1])
local outcomes = {}

local function over(counter, most)
  if counter == KEYS[1] then
    return false
  end
  local count = redis.call('INCR', counter)
  if count == 1 then
    redis.call('EXPIRE', counter, 60)
  end
  return count > most
end

for i = 1, (#KEYS - 1) / 3 do
  local lock, address, survey = KEYS[3 * i - 1], KEYS[3 * i], KEYS[3 * i + 1]
  local entry, value, most = ARGV[3 * i + 2], ARGV[3 * i + 3], tonumber(ARGV[3 * i + 4])
  local held = entry ~= '' and redis.call('GET', lock)
  if held then
    outcomes[i] = held
  elseif entry ~= '' and length >= full then
    outcomes[i] = 'full'
  elseif over(address, limit) then
    outcomes[i] = 'rate ' .. redis.call('TTL', address)
  else
    if entry ~= '' then
      if over(survey, most) then
        redis.call('XADD', KEYS[1], '*', 'v', version, 'entry', entry, 'flag', 'burst')
      else
        redis.call('XADD', KEYS[1], '*', 'v', version, 'entry', entry)
      end
      redis.call('SET', lock, value, 'EX', seconds)
      length = length + 1
    end
    outcomes[i] = '+'
  end
end
return outcomes
