-- Text processing: words counted, patterns replaced, lines sorted. text.lua FILE
local counts, words, lines = {}, 0, {}
for line in io.lines(arg[1]) do
  lines[#lines + 1] = line
  for word in line:gmatch("%a+") do
    word = word:lower()
    counts[word] = (counts[word] or 0) + 1
    words = words + 1
  end
end

local ranked = {}
for word, count in pairs(counts) do ranked[#ranked + 1] = { word = word, count = count } end
table.sort(ranked, function(a, b)
  if a.count ~= b.count then return a.count > b.count end
  return a.word < b.word
end)
print(words, #ranked)
for i = 1, 10 do print(ranked[i].word, ranked[i].count) end

-- In the table's own order, which is another in each run.
local order = {}
for word in pairs(counts) do order[#order + 1] = word end
print(table.concat(order, " "):sub(1, 400))

local pieces = {}
for i, line in ipairs(lines) do
  local changed, times = line:gsub("(%w+) (%w+)", "%2 %1")
  if i % 97 == 0 then pieces[#pieces + 1] = ("%5d %2d %s"):format(i, times, changed) end
end
print(table.concat(pieces, "\n"))

table.sort(lines)
print(lines[1], lines[#lines])
local joined = table.concat(lines, "\n")
print(#joined, joined:find("z%w+z"), joined:reverse():sub(1, 40))

local out = assert(io.open("sorted.txt", "w"))
out:setvbuf("line")
for _, line in ipairs(lines) do out:write(line, "\n") end
out:close()
local back = assert(io.open("sorted.txt")):read("a")
assert(back == joined .. "\n")
print(os.time(), os.date("%c"), os.rename("sorted.txt", "s.txt"), os.remove("s.txt"))
