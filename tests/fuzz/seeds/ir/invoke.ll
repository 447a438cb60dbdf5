; Exceptions as IR has them.
@global = global ptr null
@table = constant [2 x ptr] [ptr @global, ptr null]
define void @invokes(ptr %f) personality ptr @__gxx_personality_v0 {
  invoke void %f() to label %good unwind label %bad
good:
  ret void
bad:
  %l = landingpad { ptr, i32 } cleanup catch ptr @global filter [1 x ptr] [ptr @table]
  resume { ptr, i32 } %l
}
declare i32 @__gxx_personality_v0(...)
