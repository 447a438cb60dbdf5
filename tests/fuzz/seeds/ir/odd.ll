; Types and instructions that front ends seldom write.
%pair = type { i32, ptr }
%packed = type <{ i8, i33, [3 x i16] }>
@global = global %pair { i32 1, ptr @global }
@table = internal constant [4 x ptr] [ptr @wide, ptr @vectors, ptr null, ptr getelementptr (i8, ptr @global, i64 8)]
@thread = thread_local global i64 5
@string = private unnamed_addr constant [4 x i8] c"abc\00"
@weak = weak global i129 7
@common = common global [10 x i32] zeroinitializer, align 64
@alias = alias i32, ptr @global
@llvm.global_ctors = appending global [1 x { i32, ptr, ptr }] [{ i32, ptr, ptr } { i32 65535, ptr @constructor, ptr null }]
@llvm.used = appending global [1 x ptr] [ptr @string], section "llvm.metadata"
$group = comdat any
declare i32 @external(i32, ...)
declare i64 @llvm.ctpop.i64(i64)
declare i33 @llvm.fshl.i33(i33, i33, i33)
declare { i65, i1 } @llvm.sadd.with.overflow.i65(i65, i65)
declare <7 x i8> @llvm.umax.v7i8(<7 x i8>, <7 x i8>)
declare i32 @llvm.vector.reduce.add.v5i32(<5 x i32>)
declare float @llvm.fma.f32(float, float, float)
declare i7 @llvm.fptosi.sat.i7.f64(double)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memset.p0.i32(ptr, i8, i32, i1)
declare void @llvm.lifetime.start.p0(i64, ptr)
declare void @llvm.lifetime.end.p0(i64, ptr)
define internal void @constructor() { ret void }

define i129 @wide(i129 %a, i65 %b, i1 %c) {
  %b2 = sext i65 %b to i129
  %m = mul i129 %a, %b2
  %d = sub i129 %m, 12345678901234567890123
  %s = select i1 %c, i129 %d, i129 -1
  %h = lshr i129 %s, 64
  %o = call { i65, i1 } @llvm.sadd.with.overflow.i65(i65 %b, i65 %b)
  %r = extractvalue { i65, i1 } %o, 0
  %r2 = zext i65 %r to i129
  %x = xor i129 %h, %r2
  ret i129 %x
}

define <3 x i17> @vectors(<3 x i17> %a, <5 x i32> %b, <7 x i8> %c, <2 x double> %d, <16 x i1> %m) {
  %s = add <3 x i17> %a, <i17 1, i17 -1, i17 poison>
  %r = call i32 @llvm.vector.reduce.add.v5i32(<5 x i32> %b)
  %u = call <7 x i8> @llvm.umax.v7i8(<7 x i8> %c, <7 x i8> zeroinitializer)
  %e = extractelement <7 x i8> %u, i32 %r
  %t = zext i8 %e to i17
  %i = insertelement <3 x i17> %s, i17 %t, i8 2
  %f = shufflevector <3 x i17> %i, <3 x i17> %a, <3 x i32> <i32 5, i32 poison, i32 0>
  %cmp = fcmp ugt <2 x double> %d, splat (double 0.5)
  %sel = select <2 x i1> %cmp, <2 x double> %d, <2 x double> zeroinitializer
  %q = fptoui <2 x double> %sel to <2 x i17>
  %q0 = extractelement <2 x i17> %q, i32 0
  %bits = bitcast <16 x i1> %m to i16
  %wide = zext i16 %bits to i17
  %both = or i17 %q0, %wide
  %g = insertelement <3 x i17> %f, i17 %both, i32 1
  ret <3 x i17> %g
}

define { i32, ptr, i1 } @aggregates(%pair %p, [2 x i64] %q, ptr byval(%packed) align 8 %v, ptr noalias %out) {
  %a = extractvalue %pair %p, 0
  %f = getelementptr %packed, ptr %v, i32 0, i32 2, i32 1
  %l = load i16, ptr %f, align 1
  %z = zext i16 %l to i32
  %s = add i32 %a, %z
  store %pair %p, ptr %out
  %r0 = insertvalue { i32, ptr, i1 } poison, i32 %s, 0
  %r1 = insertvalue { i32, ptr, i1 } %r0, ptr %f, 1
  %r2 = insertvalue { i32, ptr, i1 } %r1, i1 true, 2
  ret { i32, ptr, i1 } %r2
}

define i64 @atomics(ptr %p, i64 %v) {
  %o = atomicrmw add ptr %p, i64 %v seq_cst
  %x = atomicrmw umax ptr %p, i64 %o monotonic
  %c = cmpxchg weak ptr %p, i64 %x, i64 %v acq_rel monotonic
  %l = extractvalue { i64, i1 } %c, 0
  fence release
  %a = load atomic i64, ptr %p acquire, align 8
  store atomic i64 %a, ptr %p release, align 8
  %b = atomicrmw nand ptr @thread, i8 3 acquire
  %w = zext i8 %b to i64
  %r = add i64 %l, %w
  ret i64 %r
}

define i32 @control(i32 %n, ptr %t) {
entry:
  %buffer = alloca [16 x i8], align 16
  %dynamic = alloca i8, i32 %n
  call void @llvm.lifetime.start.p0(i64 16, ptr %buffer)
  call void @llvm.memset.p0.i32(ptr %dynamic, i8 1, i32 %n, i1 false)
  call void @llvm.memcpy.p0.p0.i64(ptr %buffer, ptr %t, i64 16, i1 true)
  switch i32 %n, label %other [ i32 -2147483648, label %low
                                i32 0, label %loop
                                i32 1, label %loop
                                i32 7, label %low ]
low:
  %v = load i32, ptr %buffer
  br label %done
loop:
  %i = phi i32 [ 0, %entry ], [ 0, %entry ], [ %next, %loop ]
  %acc = phi i64 [ 1, %entry ], [ 1, %entry ], [ %shifted, %loop ]
  %shifted = shl i64 %acc, 3
  %next = add nuw nsw i32 %i, 1
  %again = icmp ult i32 %next, %n
  br i1 %again, label %loop, label %out
out:
  %low32 = trunc i64 %shifted to i32
  br label %done
other:
  %called = call i32 (i32, ...) @external(i32 %n, double 1.0, i64 3, ptr %t)
  %tail = tail call i32 @control(i32 %called, ptr %buffer)
  br label %done
done:
  %result = phi i32 [ %v, %low ], [ %low32, %out ], [ %tail, %other ]
  call void @llvm.lifetime.end.p0(i64 16, ptr %buffer)
  ret i32 %result
}

define double @floats(float %a, double %b, half %h) {
  %w = fpext float %a to double
  %x = fpext half %h to double
  %m = frem double %w, %b
  %n = fneg double %m
  %f = call float @llvm.fma.f32(float %a, float %a, float 1.0)
  %g = fptrunc double %n to float
  %s = fadd fast float %f, %g
  %i = call i7 @llvm.fptosi.sat.i7.f64(double %x)
  %j = sitofp i7 %i to double
  %k = fpext float %s to double
  %r = fsub double %k, %j
  ret double %r
}

define fastcc i33 @shifts(i33 signext %a, i33 zeroext %b) noinline nounwind comdat($group) {
  %f = call i33 @llvm.fshl.i33(i33 %a, i33 %b, i33 40)
  %s = ashr exact i33 %f, 1
  %t = freeze i33 %s
  %o = icmp sge i33 %t, %b
  %z = zext i1 %o to i33
  %d = srem i33 %z, -3
  ret i33 %d
}

define void @jumps(ptr %p, i1 %c) {
entry:
  %a = select i1 %c, ptr blockaddress(@jumps, %one), ptr %p
  indirectbr ptr %a, [label %one, label %two]
one:
  call void asm sideeffect "", "r,~{memory}"(ptr %a)
  ret void
two:
  unreachable
}
