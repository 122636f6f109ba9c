-- Files: buffering, seeking, temporary ones, errors. files.lua FILE
local input = assert(io.open(arg[1], "rb"))
local size = input:seek("end")
local samples = {}
for i = 1, 200 do
  input:seek("set", i * 7919 % (size - 16))
  samples[#samples + 1] = input:read(16)
end
print(size, #samples, samples[1], samples[200])

for _, mode in ipairs { "no", "line", "full" } do
  local out = assert(io.open("buffered", "wb"))
  out:setvbuf(mode, 512)
  for i = 1, 300 do out:write(i, i % 7 == 0 and "\n" or " ", samples[i % 200 + 1]) end
  out:close()
  local lines, bytes = 0, 0
  for line in io.lines("buffered", "L") do lines, bytes = lines + 1, bytes + #line end
  print(mode, lines, bytes)
end

local both = assert(io.open("buffered", "r+b"))
both:seek("set", 100)
both:write("overwritten")
both:seek("cur", -5)
print(both:read(20), both:seek())
both:seek("end", 5000)
both:write("after a hole")
both:close()
local appended = assert(io.open("buffered", "a"))
appended:write("12 0x1F -3.5e2 nan\n")
print(appended:seek("end"))
appended:close()
local numbers = assert(io.open("buffered"))
numbers:seek("end", -19)
print(numbers:read("n", "n", "n", "n"))
numbers:close()

local temporary, name = io.tmpfile(), os.tmpname()
temporary:write(("x"):rep(100000))
temporary:seek("set")
print(#temporary:read("a"), name)
assert(os.remove(name))
print(io.open("missing/file"))
print(pcall(io.lines, "missing"))
print(os.rename("buffered", "renamed"), os.remove("buffered"))
print(io.type(input), input:close(), io.type(input), io.output() == io.stdout)

-- Modules made while it runs, and found by require.
local module = assert(io.open("made.lua", "w"))
module:write("local name, path = ...\nreturn { name = name, path = path, answer = function() return 42 end }\n")
module:close()
package.path = "./?.lua"
print(require("made").name, require("made").path, require("made").answer(), select(2, pcall(require, "unmade")))
print(load("return 1 +")) print(loadfile("made.lua")("direct").name, #string.dump(require("made").answer))
print(os.getenv("HOME") ~= nil, os.getenv("NOTHING"), os.difftime(os.time(), os.time { year = 2020, month = 1, day = 1 }) > 0)
