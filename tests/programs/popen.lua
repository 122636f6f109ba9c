-- Children: a pipe from one, a command.
local pipe = assert(io.popen("echo from a child"))
print(pipe:read("a"), pipe:close())
print(os.execute("exit 3"))
