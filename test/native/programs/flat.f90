! 60 / 30 / 10 % of the time in three procedures of a module.
module kernels
  implicit none
  real(8), volatile :: sink
contains
  subroutine f60(n)
    integer, intent(in) :: n
    integer :: i, k
    real(8) :: s
    do k = 1, 6
      s = 1
      do i = 1, n
        s = s * 0.999d0 + 1
      end do
      sink = s
    end do
  end subroutine
  subroutine f30(n)
    integer, intent(in) :: n
    integer :: i, k
    real(8) :: s
    do k = 1, 3
      s = 1
      do i = 1, n
        s = s * 0.999d0 + 1
      end do
      sink = s
    end do
  end subroutine
  subroutine f10(n)
    integer, intent(in) :: n
    integer :: i, k
    real(8) :: s
    do k = 1, 1
      s = 1
      do i = 1, n
        s = s * 0.999d0 + 1
      end do
      sink = s
    end do
  end subroutine
  subroutine work(n)
    integer, intent(in) :: n
    call f60(n)
    call f30(n)
    call f10(n)
    sink = sink + 1
  end subroutine
end module

program flat
  use kernels
  implicit none
  character(32) :: text
  real(8) :: limit, now
  integer :: i
  call get_command_argument(1, text)
  read (text, *) limit
  now = 0
  do while (now < limit)
    do i = 1, 20
      call work(1000)
    end do
    call cpu_time(now)
  end do
end program
