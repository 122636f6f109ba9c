# Numbers, procedures, coroutines and commands made while it runs.
proc factorial {n} { expr {$n < 2 ? 1 : $n * [factorial [expr {$n - 1}]]} }
puts [factorial 200]
proc primes {limit} {
    set sieve [lrepeat [expr {$limit + 1}] 1]
    for {set i 2} {$i * $i <= $limit} {incr i} {
        if {[lindex $sieve $i]} { for {set j [expr {$i * $i}]} {$j <= $limit} {incr j $i} { lset sieve $j 0 } }
    }
    lsearch -all -integer [lreplace $sieve 0 1 0 0] 1
}
set found [primes 20000]
puts "[llength $found] primes, the last [lindex $found end]"
set x 0.5
for {set i 0} {$i < 50000} {incr i} { set x [expr {3.9 * $x * (1 - $x) + 1e-3 * sin($i)}]; set x [expr {abs(fmod($x, 1.0))}] }
puts $x,[expr {atan2($x, 2) ** 3}],[expr {-7 / 2}],[expr {-7 % 3}],[expr {2 ** 200 % 1000007}]
proc generator {} { yield; for {set i 0} {$i < 1000} {incr i} { yield [expr {$i * $i}] } }
coroutine next generator
set sum 0
for {set i 0} {$i < 1000} {incr i} { incr sum [next] }
puts $sum
for {set i 0} {$i < 3000} {incr i} {
    proc made$i {a} "return \[expr {\$a + $i}\]"
    set sum [made$i $sum]
    rename made$i {}
}
puts $sum
binary scan [binary format d3I2a4 {1.5 -2.25 1e300} {7 -7} tcl] cu* bytes
puts $bytes
interp create inner
puts [inner eval {set a [list x {y z} "q\"r"]; llength $a}],[interp delete inner]
array set squares {}
for {set i 0} {$i < 5000} {incr i} { set squares($i) [expr {$i * $i}] }
puts [array size squares],[llength [array get squares 1*]],[lindex [lsort -real -decreasing {1e3 5 -2.5 1e-9}] 0]
puts [expr {[clock clicks] != 0}],[time {set y 1} 100]
