# Text processing: regular expressions, dictionaries, sorting, files. text.tcl FILE
set channel [open [lindex $argv 0]]
set text [read $channel]
close $channel
set lines [split [string trimright $text \n] \n]
foreach line $lines {
    foreach word [regexp -all -inline {[[:alpha:]]+} $line] { dict incr counts [string tolower $word] }
}
set ranked [lsort -integer -decreasing -index 1 -stride 2 [lsort -stride 2 $counts]]
puts "[llength $lines] lines, [dict size $counts] words"
puts [lrange $ranked 0 19]
set i 0
foreach line $lines {
    if {[incr i] % 131 == 0} { puts "[format %5d $i] [regsub -all {(\w+) (\w+)} $line {\2 \1}]" }
}
puts [string map {a A e E tt TT} [lindex $lines 7]]
puts [lindex [lsort -dictionary $lines] 0]|[lindex [lsort -unique -nocase $lines] end]

set channel [open sorted.txt w+]
fconfigure $channel -encoding utf-8 -buffering line
foreach line [lsort $lines] { puts $channel "$line \u00e9\u4e16" }
seek $channel 0
puts [string length [read $channel]],[tell $channel]
close $channel
puts [file size sorted.txt],[file exists sorted.txt],[glob *.txt]
file delete sorted.txt
puts [clock seconds],[clock format 0 -gmt 1],[pid],[expr {rand()}]
puts [info patchlevel],[array names env],[catch {error broken} message],$message
