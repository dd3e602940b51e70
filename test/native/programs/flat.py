# 60 / 30 / 10 % of the time in three functions.
import sys, time

def f60(n):
    s = 0.0
    for k in range(6):
        for i in range(n): s += i * 0.5
    return s

def f30(n):
    s = 0.0
    for k in range(3):
        for i in range(n): s += i * 0.5
    return s

def f10(n):
    s = 0.0
    for k in range(1):
        for i in range(n): s += i * 0.5
    return s

class Model:
    def work(self, n):
        return f60(n) + f30(n) + f10(n)

def main():
    limit = float(sys.argv[1])
    model = Model()
    while time.process_time() < limit:
        for _ in range(10): model.work(300)

main()
