# Classes, dictionaries, errors, traces, safe interpreters, time.
oo::class create Account {
    variable balance history
    constructor {{start 0}} { set balance $start; set history {} }
    destructor { incr ::destroyed }
    method deposit {amount} {
        if {$amount <= 0} { throw {ACCOUNT AMOUNT} "bad amount $amount" }
        incr balance $amount
        lappend history $amount
        return [self]
    }
    method balance {} { return $balance }
    method history {} { return $history }
}
oo::class create Savings {
    superclass Account
    variable rate
    constructor {r args} { set rate $r; next {*}$args }
    method balance {} { expr {int([next] * (1 + $rate))} }
    filter logged
    method logged {args} { incr ::calls; next {*}$args }
}
set destroyed 0
set calls 0
for {set i 1} {$i <= 2000} {incr i} {
    set account [Savings new 0.05 $i]
    $account deposit $i
    $account deposit [expr {$i * 2}]
    incr total [$account balance]
    if {$i % 2} { $account destroy }
}
puts "$total $destroyed $calls [llength [info class instances Savings]] $account"
try { $account deposit -1 } trap {ACCOUNT AMOUNT} {message options} {
    puts "$message [dict get $options -errorcode] [dict get $options -errorline]"
} finally { puts finally }

for {set i 0} {$i < 3000} {incr i} { dict set tree [expr {$i % 13}] [expr {$i % 7}] $i [string repeat ab [expr {$i % 5}]] }
puts "[dict size $tree] [dict keys [dict get $tree 5]] [dict size [dict get $tree 5 5]] [string length $tree]"
dict for {key value} [dict filter $tree key 1*] { puts "$key [dict size $value]" }
puts [lmap x {1 2 3 4} { if {$x == 3} continue; expr {$x ** 2} }]

set seen {}
trace add variable watched write {apply {{name index operation} { upvar $name v; lappend ::seen $v } }}
foreach watched {a b c} {}
puts $seen
puts [apply {{x y} { expr {$x * $y} }} 6 7]
set safe [interp create -safe]
puts [catch {$safe eval {open /etc/passwd}} message],$message
interp alias $safe twice {} apply {x { expr {$x * 2} }}
puts [$safe eval {twice 21}]
interp limit $safe commands -value [expr {[$safe eval {info cmdcount}] + 1000}]
puts [catch {$safe eval {while 1 {incr i}}} message],$message
puts [clock format 1000000000 -gmt 1 -format {%Y-%m-%d %H:%M:%S %A}],[clock scan {2024-02-29} -gmt 1 -format %Y-%m-%d],[clock add 0 1 month -gmt 1]
puts [format {%-10s|%+08.3f|%x|%c|%e} left 3.14159 255 65 12345.678],[scan {12 abc 0x1f} {%d %s %x}]
puts [regexp -inline -all {(\w)(\w)} {ab cd ef}],[regsub -all {(?i)HELLO} {hello Hello} {<&>}],[string is integer -strict 12x]
puts [info exists env(HOME)],[info level],[llength [info commands]],[string length [info script]],[clock microseconds]
set i 0
while {[incr i] < 200000} {}
puts [lsort -command {apply {{a b} { expr {$a % 100 - $b % 100} }}} {512 13 201 99 400}],$i
