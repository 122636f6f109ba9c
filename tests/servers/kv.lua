-- A key-value server with a line protocol, a select loop over lua-socket: kv.lua PORT.
--
-- SET key value   OK                  APPEND key value   LENGTH n
-- GET key         VALUE v | NONE      INCR key           INT n | ERROR not a number
-- DEL key         DELETED | NONE      TOKEN key          VALUE v (set to something unpredictable)
--
-- The end of a client's input is answered by the end of the server's output.

local socket = require "socket"

local CHUNK = 8192
local LIMIT = 18 -- decimal digits of a number

local store = {}

local commands = {
  SET = function(key, value)
    store[key] = value
    return "OK"
  end,
  GET = function(key)
    return store[key] and "VALUE " .. store[key] or "NONE"
  end,
  DEL = function(key)
    local held = store[key]
    store[key] = nil
    return held and "DELETED" or "NONE"
  end,
  APPEND = function(key, value)
    store[key] = (store[key] or "") .. value
    return "LENGTH " .. #store[key]
  end,
  INCR = function(key)
    local text = store[key] or "0"
    if not text:match("^%d+$") or #text > LIMIT then
      return "ERROR not a number"
    end
    store[key] = string.format("%d", math.tointeger(tonumber(text)) + 1)
    return "INT " .. store[key]
  end,
  TOKEN = function(key)
    store[key] = string.format("%x-%.6f", math.random(0), socket.gettime())
    return "VALUE " .. store[key]
  end,
}

local function answer(line)
  local command, key, value = line:match("^(%S+) (%S+) ?(.*)$")
  local perform = commands[command]
  return perform and perform(key, value) or "ERROR unknown command"
end

local listener = assert(socket.tcp4())
assert(listener:setoption("reuseaddr", true))
assert(listener:bind("127.0.0.1", tonumber(arg[1])))
assert(listener:listen(64))
listener:settimeout(0)
print("listening on " .. arg[1])
io.stdout:flush()

local readers = { listener }
local clients = {} -- socket -> { input = text, output = text, ended = boolean }

local function forget(client)
  for index, other in ipairs(readers) do
    if other == client then
      table.remove(readers, index)
      break
    end
  end
end

local function close(client)
  forget(client)
  clients[client] = nil
  client:close()
end

local function receive(client)
  local state = clients[client]
  local data, reason, partial = client:receive(CHUNK)
  state.input = state.input .. (data or partial)
  local from = 1
  local replies = {}
  while true do
    local stop = state.input:find("\n", from, true)
    if not stop then
      break
    end
    replies[#replies + 1] = answer(state.input:sub(from, stop - 1)) .. "\n"
    from = stop + 1
  end
  state.input = state.input:sub(from)
  state.output = state.output .. table.concat(replies)
  if reason == "closed" then
    state.ended = true
    forget(client)
  end
end

local function send(client)
  local state = clients[client]
  if state.output ~= "" then
    local last, reason, partial = client:send(state.output)
    if reason == "closed" then
      return close(client)
    end
    state.output = state.output:sub((last or partial) + 1)
  end
  if state.ended and state.output == "" then
    close(client)
  end
end

while true do
  local writers = {}
  for client, state in pairs(clients) do
    if state.output ~= "" then
      writers[#writers + 1] = client
    end
  end
  local readable, writable = socket.select(readers, writers)
  for _, client in ipairs(readable) do
    if client == listener then
      local accepted = listener:accept()
      if accepted then
        accepted:settimeout(0)
        clients[accepted] = { input = "", output = "", ended = false }
        readers[#readers + 1] = accepted
      end
    else
      receive(client)
      send(client)
    end
  end
  for _, client in ipairs(writable) do
    if clients[client] then
      send(client)
    end
  end
end
