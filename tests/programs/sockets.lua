-- Connections to itself, by luasocket: TCP, UDP, UNIX-like timeouts, select.
local socket = require "socket"
local listener = assert(socket.bind("127.0.0.1", 0))
local address, port = listener:getsockname()
local clients, accepted = {}, {}
for i = 1, 5 do
  clients[i] = assert(socket.connect(address, port))
  accepted[i] = assert(listener:accept())
  accepted[i]:settimeout(0)
end
print(port, clients[3]:getpeername())
listener:settimeout(0.01)
print(listener:accept())

local received, sum = 0, 0
for round = 1, 40 do
  local client = clients[round % 5 + 1]
  assert(client:send(("round %d %s\n"):format(round, ("y"):rep(round * 20))))
  local readable = socket.select(accepted, nil, 5)
  for _, connection in ipairs(readable) do
    local line = assert(connection:receive())
    received, sum = received + 1, sum + #line
    assert(connection:send(line:upper() .. "\r\n"))
  end
  local answer = assert(client:receive())
  if round % 10 == 0 then print(answer:sub(1, 30), #answer) end
end
print(received, sum, accepted[1]:receive(), accepted[1]:getstats())
clients[1]:shutdown("send")
accepted[1]:settimeout(5)
print(accepted[1]:receive())
clients[2]:close()
accepted[2]:settimeout(5)
print(accepted[2]:receive("*a"))

local a, b = assert(socket.udp()), assert(socket.udp())
assert(a:setsockname("127.0.0.1", 0))
a:settimeout(5)
local to, at = a:getsockname()
for i = 1, 10 do b:sendto(("datagram %d"):format(i), to, at) end
for _ = 1, 10 do io.write(a:receivefrom(), ";") end
print()
print(socket.connect("127.0.0.1", 1))
print(socket.gettime() > 0, socket.sleep(0.01), socket.dns.toip("127.0.0.1"))
