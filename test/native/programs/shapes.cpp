// Virtual calls and a template between main and the leaf.
#include <memory>
#include <vector>
volatile double sink;
struct Shape { virtual ~Shape() = default; virtual void draw(int n) const = 0; };
template <int K> struct Regular final : Shape {
  __attribute__((noinline)) void draw(int n) const override { double s = 0; for (int i = 0; i < n * K; i++) s += i * 0.5; sink = s; }
};
namespace scene {
__attribute__((noinline)) void render(const std::vector<std::unique_ptr<Shape>> &all) { for (const auto &shape : all) { shape->draw(5000); sink = sink + 1; } }
}
extern "C" {
#include "until.h"
}
int main(int, char **argv) {
  std::vector<std::unique_ptr<Shape>> all;
  all.push_back(std::make_unique<Regular<3>>());
  all.push_back(std::make_unique<Regular<1>>());
  while (running(argv[1])) scene::render(all);
}
