# The event loop: timers and a socket to itself.
proc accepted {channel address port} {
    fconfigure $channel -blocking 0 -buffering line
    fileevent $channel readable [list echo $channel]
}
proc echo {channel} {
    if {[gets $channel line] >= 0} { puts $channel [string toupper $line] } elseif {[eof $channel]} { close $channel }
}
proc answered {channel} {
    global answers
    puts [gets $channel]
    if {[incr answers] == 20} { set ::done 1 } else { puts $channel "line $answers" }
}
set listener [socket -server accepted -myaddr 127.0.0.1 0]
set client [socket 127.0.0.1 [lindex [fconfigure $listener -sockname] 2]]
fconfigure $client -buffering line
set answers 0
fileevent $client readable [list answered $client]
after 5 {puts "after 5"}
after idle {puts idle}
puts $client "line 0"
vwait done
close $client
close $listener
puts [llength [after info]]
