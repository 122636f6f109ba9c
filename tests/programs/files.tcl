# Files: names, times, channels, encodings, compression. files.tcl FILE
set input [lindex $argv 0]
file mkdir a/b/c
foreach {name size} {a/one 10 a/b/two 2000 a/b/c/three 300000} {
    set channel [open $name w]
    fconfigure $channel -translation binary -buffersize 1000
    for {set left $size} {$left > 0} {incr left -10} { puts -nonewline $channel [format %09d| $left] }
    close $channel
    file stat $name status
    puts "$name $status(size) $status(type) [format %o [expr {$status(mode) & 0777}]] [file mtime $name]"
}
file copy $input a/copy
file link -symbolic a/link copy
file attributes a/copy -permissions 0640
puts "[file size a/copy] [file type a/link] [file readlink a/link] [file attributes a/copy -permissions] [lsort [glob -directory a *]]"
proc walk {directory} {
    foreach name [lsort [glob -nocomplain -directory $directory *]] {
        puts "[file tail $name] [file isdirectory $name]"
        if {[file isdirectory $name]} { walk $name }
    }
}
walk a
puts [catch {open missing/file} message],$message,$errorCode
puts [catch {file delete a} message],$message
file rename a/b/two a/renamed
file delete -force a/b

set channel [open a/copy r+]
seek $channel -300 end
puts [string length [read $channel 100]],[tell $channel],[eof $channel]
seek $channel 50
puts -nonewline $channel "written over"
seek $channel 40
puts [gets $channel]
chan truncate $channel 5000
close $channel
puts [file size a/copy]

foreach encoding {utf-8 iso8859-1 unicode cp437 shiftjis} {
    set channel [open a/text w]
    fconfigure $channel -encoding $encoding -translation crlf
    puts $channel "caf\u00e9 \u00fcber\nzweite Zeile"
    close $channel
    set channel [open a/text]
    fconfigure $channel -encoding $encoding -translation auto
    puts "$encoding [file size a/text] [string length [read $channel]]"
    close $channel
}

set channel [open $input rb]
set bytes [read $channel]
close $channel
foreach level {1 6 9} {
    set packed [zlib gzip $bytes -level $level]
    puts "$level [string length $packed] [expr {[zlib gunzip $packed] eq $bytes}] [zlib crc32 $bytes] [zlib adler32 $bytes]"
}
set channel [open a/packed.gz wb]
zlib push gzip $channel
puts -nonewline $channel $bytes
close $channel
set channel [open a/packed.gz rb]
zlib push gunzip $channel
puts [expr {[read $channel] eq $bytes}]
close $channel
lassign [chan pipe] from to
fconfigure $to -buffering line
puts $to "through a pipe"
puts [gets $from]
close $to
puts [gets $from],[eof $from]
set channel [file tempfile name]
puts [file exists $name]
close $channel
file delete $name
