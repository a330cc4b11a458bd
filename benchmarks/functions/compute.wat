;; fib and sieve as a compiler to WebAssembly would write them, and an echo by pointer and length.
(module
  (memory (export "memory") 1)

  (func (export "nop") (param i32) (result i32) (local.get 0))

  ;; Make room for this many bytes from address 65536 on.
  (func $reserve (export "reserve") (param $size i32)
    (local $wanted i32)
    (local.set $wanted
      (i32.add (i32.const 2) (i32.shr_u (local.get $size) (i32.const 16))))
    (if (i32.gt_u (local.get $wanted) (memory.size))
      (then (drop (memory.grow (i32.sub (local.get $wanted) (memory.size)))))))

  ;; Copy the payload at 65536 behind itself and return where it is.
  (func (export "echo") (param $length i32) (result i32)
    (local $output i32)
    (local.set $output (i32.add (i32.const 65536) (local.get $length)))
    (memory.copy (local.get $output) (i32.const 65536) (local.get $length))
    (local.get $output))

  (func $fib (export "fib") (param $n i32) (result i32)
    (if (result i32) (i32.lt_s (local.get $n) (i32.const 2))
      (then (local.get $n))
      (else (i32.add
        (call $fib (i32.sub (local.get $n) (i32.const 1)))
        (call $fib (i32.sub (local.get $n) (i32.const 2)))))))

  (func (export "sieve") (param $limit i32) (result i32)
    (local $i i32) (local $j i64) (local $count i32)
    (call $reserve (local.get $limit))
    (memory.fill (i32.const 65536) (i32.const 0) (local.get $limit))
    (local.set $i (i32.const 2))
    (block $done
      (loop $next
        (br_if $done (i32.ge_s (local.get $i) (local.get $limit)))
        (if (i32.eqz (i32.load8_u offset=65536 (local.get $i)))
          (then
            (local.set $count (i32.add (local.get $count) (i32.const 1)))
            (local.set $j
              (i64.mul (i64.extend_i32_s (local.get $i)) (i64.extend_i32_s (local.get $i))))
            (block $crossed
              (loop $cross
                (br_if $crossed
                  (i64.ge_s (local.get $j) (i64.extend_i32_s (local.get $limit))))
                (i32.store8 offset=65536 (i32.wrap_i64 (local.get $j)) (i32.const 1))
                (local.set $j (i64.add (local.get $j) (i64.extend_i32_s (local.get $i))))
                (br $cross)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.get $count)))
