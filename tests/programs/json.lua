-- A parser and a writer of JSON, by hand; tables as they come.
local escapes = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }
local parse
local function skip(text, at) return text:find("%S", at) or #text + 1 end
local function string_at(text, at)
  local pieces = {}
  while true do
    local from, to = text:find('^[^"\\]+', at)
    if from then pieces[#pieces + 1], at = text:sub(from, to), to + 1 end
    local c = text:sub(at, at)
    if c == '"' then return table.concat(pieces), at + 1 end
    if c ~= "\\" then error("unfinished string at " .. at) end
    local e = text:sub(at + 1, at + 1)
    if e == "u" then
      pieces[#pieces + 1], at = utf8.char(tonumber(text:sub(at + 2, at + 5), 16)), at + 6
    else
      pieces[#pieces + 1], at = escapes[e] or error("no escape " .. e), at + 2
    end
  end
end
function parse(text, at)
  at = skip(text, at)
  local c = text:sub(at, at)
  if c == '"' then return string_at(text, at + 1) end
  if c == "{" or c == "[" then
    local value, close = {}, c == "{" and "}" or "]"
    at = skip(text, at + 1)
    while text:sub(at, at) ~= close do
      local key = #value + 1
      if c == "{" then
        key, at = string_at(text, at + 1)
        at = assert(select(2, text:find("^%s*:", at)), "no colon") + 1
      end
      value[key], at = parse(text, at)
      at = skip(text, at)
      if text:sub(at, at) == "," then at = skip(text, at + 1) elseif text:sub(at, at) ~= close then error("neither , nor " .. close .. " at " .. at) end
    end
    return value, at + 1
  end
  for word, value in pairs { ["true"] = true, ["false"] = false } do
    if text:find("^" .. word, at) then return value, at + #word end
  end
  local number = text:match("^-?%d+%.?%d*[eE]?[+-]?%d*", at)
  return tonumber(number) or error("no value at " .. at), at + #(number or "")
end
local function write(value)
  if type(value) == "string" then
    return '"' .. value:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
  elseif type(value) ~= "table" then
    return tostring(value)
  elseif #value > 0 then
    local pieces = {}
    for i, item in ipairs(value) do pieces[i] = write(item) end
    return "[" .. table.concat(pieces, ",") .. "]"
  end
  local pieces = {}
  for key, item in pairs(value) do pieces[#pieces + 1] = write(key) .. ":" .. write(item) end
  return "{" .. table.concat(pieces, ",") .. "}"
end

local items = {}
for i = 1, 2000 do
  items[i] = { id = i, name = ("item %d \"%s\""):format(i, ("x\t\u{e9}"):rep(i % 4)), price = i / 7, tags = { "a", i % 3 == 0, -i * 1e10 } }
end
local text = write { items = items, count = #items }
for round = 1, 3 do
  local value = parse(text, 1)
  assert(value.count == 2000 and value.items[2000].name == items[2000].name and value.items[77].price == tonumber(tostring(77 / 7)))
  text = write(value)
  print(round, #text, text:sub(1, 120))
end
for _, bad in ipairs { '{"a" 1}', "[1 2]", '"open', "[nothing]", '"\\q"' } do print(bad, pcall(parse, bad, 1)) end
