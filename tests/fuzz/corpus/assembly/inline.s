mov $0, $1; lock; xaddl $0, ${1:k}
1: jne 1b
.pushsection t,"a"; .long 1b - ., $2; .popsection
$(addl $0, $1$|add $1, $0$)
