-- Floating point and integers to the last bit.
local function show(name, ...) print(name, ("%.17g "):rep(select("#", ...)):format(...)) end

local function mandelbrot(size)
  local inside = 0
  for y = 0, size - 1 do
    for x = 0, size - 1 do
      local cr, ci, zr, zi, n = 2.0 * x / size - 1.5, 2.0 * y / size - 1.0, 0.0, 0.0, 0
      while n < 50 and zr * zr + zi * zi < 4.0 do
        zr, zi, n = zr * zr - zi * zi + cr, 2.0 * zr * zi + ci, n + 1
      end
      if n == 50 then inside = inside + 1 end
    end
  end
  return inside
end
print("mandelbrot", mandelbrot(160))

local x, y, z = 1.0, 1.0, 1.0
for _ = 1, 100000 do
  x, y, z = x + 0.001 * 10 * (y - x), y + 0.001 * (x * (28 - z) - y), z + 0.001 * (x * y - 8 / 3 * z)
end
show("lorenz", x, y, z)

local sum = 0.0
for i = 1, 200000 do sum = sum + math.sin(i) * math.exp(-i / 1e5) / math.log(i + 1) + math.sqrt(i) % 1 end
show("transcendental", sum, math.atan(sum, 3), math.pi ^ math.exp(1), math.huge, -0.0)
print(0 / 0 ~= 0 / 0, 1e308 * 10, math.tointeger(2 ^ 53), 7 // -2, 7 % -2, -7.5 // 2, 5.3 % -2)

local hash = 0xcbf29ce484222325
local bytes = 0
for i = 1, 500000 do hash = (hash ~ i & 0xff) * 1099511628211 end
print(("%016x"):format(hash), math.maxinteger + 1 == math.mininteger, hash >> 60, ~hash << 3)
print(string.pack("<i4d>I2s1z", -7, math.pi, 513, "ftrun", "zero"):byte(1, -1))
math.randomseed(42)
show("random", math.random(), math.random(1000), math.random(-5, 5))
