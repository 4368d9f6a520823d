-- KEYS: checkpoint, entry …   ARGV: expected, next, otherwise, then per entry: rank, value ('' without), ttl in ms

-- As in store.lua: numbers, because Lua compares text by the server's locale.
local function number(text, from, to) return tonumber(string.sub(text, from, to), 16) or 0 end
local function older(a, b)
  local x, y = number(a, 1, 13), number(b, 1, 13)
  return x < y or (x == y and number(a, 14, 26) < number(b, 14, 26))
end

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
local epoch = number(ARGV[1], 2, 13)
if number(ARGV[2], 2, 13) < epoch then return false end
for i = 2, #KEYS do
  if number(ARGV[3 * i - 2], 1, 12) < epoch then return false end
end
-- A write that needs no memory first: after it a full Redis lets the script move its checkpoint.
redis.call('PERSIST', KEYS[1])
local behind, broken, left = {}, {}, false
for i = 2, #KEYS do
  local key, rank, value, ttl = KEYS[i], ARGV[3 * i - 2], ARGV[3 * i - 1], ARGV[3 * i]
  local stands = redis.pcall('GETRANGE', key, 0, 45)
  if type(stands) == 'table' then stands = '?' end
  if string.sub(stands, 1, 1) == '1' and #stands == 46 then
    local there = string.sub(stands, 2, 27)
    -- Nearly always they are the same, and that costs nothing to see.
    if there ~= rank and older(there, rank) then
      behind[#behind + 1] = i - 2
      if value == '' then left = true
      elseif string.sub(value, 46, 46) == 'x' then redis.call('DEL', key)
      else redis.call('SET', key, value, 'PX', ttl) end
    end
  elseif stands ~= '' then
    if string.sub(stands, 1, 1) == 'L' then broken[#broken + 1] = i - 2 end
    redis.call('DEL', key)
  end
end
redis.call('SET', KEYS[1], left and ARGV[3] or ARGV[2])
return { left and 0 or 1, behind, broken }
