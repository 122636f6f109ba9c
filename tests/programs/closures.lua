-- Closures, coroutines, metatables and a collector that has much to do.
local function counter(step)
  local value = 0
  return function() value = value + step return value end
end

local counters, total = {}, 0
for i = 1, 1000 do counters[i] = counter(i) end
for round = 1, 100 do
  for i = 1, #counters do total = total + counters[i]() end
end
print("closures", total)

-- Addresses and sizes: what differs from run to run.
print(counters[1], print, {}, io.stdout)

local weak, finalized = setmetatable({}, { __mode = "k" }), 0
for i = 1, 200000 do
  local key = setmetatable({ i }, { __gc = i % 10 == 0 and function() finalized = finalized + 1 end or nil })
  weak[key] = ("value %d"):format(i)
  if i % 50000 == 0 then
    local left = 0
    for _ in pairs(weak) do left = left + 1 end
    print("weak", i, left, finalized, collectgarbage("count"))
  end
end
for _, mode in ipairs { "generational", "incremental" } do
  collectgarbage(mode)
  local chain
  for i = 1, 200000 do chain = i % 1000 ~= 0 and { chain, i } or nil end
  print(mode, collectgarbage("count"))
end
collectgarbage()

local function permute(list, n)
  if n == 0 then coroutine.yield(table.concat(list)) end
  for i = 1, n do
    list[n], list[i] = list[i], list[n]
    permute(list, n - 1)
    list[n], list[i] = list[i], list[n]
  end
end
local permutations, last = 0, nil
for word in coroutine.wrap(function() permute({ "f", "t", "r", "u", "n", "!", "?" }, 7) end) do
  permutations, last = permutations + 1, word
end
print("coroutines", permutations, last)

local ok, message = pcall(function() local t = setmetatable({}, { __index = function(_, k) error("no " .. k, 0) end }) return t.x end)
print(ok, message, select("#", xpcall(string.rep, debug.traceback, "x", -1)))
local deep = function() end
print(pcall(function() local function f(n) return n == 0 and 0 or 1 + f(n - 1) end return f(150000) end))
for i = 1, 5 do print(math.random(0), math.random()) end
print(os.clock() >= 0, #tostring(deep))
