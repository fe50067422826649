// What stands on the terminal while answers stream.
#include "server/cli/answer_view.h"

#include <random>

#include "gmock/gmock.h"
#include "server/cli/printable.h"
#include "server/cli/wrapped_text.h"
#include "tests/server/cli/screen.h"
#include "tests/server/cli/test_console.h"

namespace chorus::cli {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Wrap(int width, const std::vector<std::string>& pieces) {
  WrappedText text(width);
  for (const std::string& piece : pieces) text.Append(piece);
  return text.rows();
}

TEST(WrappedTextTest, BreaksAtSpacesAndInsideLongWords) {
  EXPECT_THAT(Wrap(10, {"one two three"}), ElementsAre("one two", "three"));
  EXPECT_THAT(Wrap(10, {"one two", "th", "ree"}), ElementsAre("one", "twothree"));
  EXPECT_THAT(Wrap(4, {"abcdefghij"}), ElementsAre("abcd", "efgh", "ij"));
  EXPECT_THAT(Wrap(5, {"ab cdefghij"}), ElementsAre("ab", "cdefg", "hij"));
}

TEST(WrappedTextTest, SpacesAtABreakAreDroppedThoseOfALineStay) {
  EXPECT_THAT(Wrap(5, {"abcde   fg"}), ElementsAre("abcde", "fg"));
  EXPECT_THAT(Wrap(8, {"a\n  b\n\nc"}), ElementsAre("a", "  b", "", "c"));
}

TEST(WrappedTextTest, WideCharactersTakeTwoColumns) {
  EXPECT_THAT(Wrap(4, {"日本語"}), ElementsAre("日本", "語"));
  EXPECT_THAT(Wrap(4, {"e\u0301e\u0301e\u0301e\u0301"}),
              ElementsAre("e\u0301e\u0301e\u0301e\u0301"));
}

TEST(WrappedTextTest, IsTheSameInPiecesAndARowNeverChangesOnceAnotherFollows) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::string all;
    const std::string alphabet[] = {"a", "b", " ", " ", "\n", "語", "é", "word", "\t"};
    WrappedText pieces(9);
    std::vector<std::string> before = pieces.rows();
    for (int i = 0; i < 40; ++i) {
      const std::string& piece = alphabet[random() % std::size(alphabet)];
      all += piece;
      pieces.Append(piece);
      for (size_t row = 0; row + 1 < before.size(); ++row) {
        ASSERT_EQ(pieces.rows()[row], before[row]) << Quoted(all);
      }
      before = pieces.rows();
      for (const std::string& row : before) ASSERT_LE(DisplayWidth(row), 9) << Quoted(all);
    }
    EXPECT_EQ(pieces.rows(), Wrap(9, {all})) << Quoted(all);
  }
}

TEST(PlainViewTest, FilesGetTheBytesTerminalsNoControlCharacters) {
  StringOutput file;
  const auto into_file = MakePlainView(&file);
  into_file->Text(0, "a\x1b[2J");
  into_file->End(0, "");
  EXPECT_EQ(file.text(), "a\x1b[2J\n");

  StringOutput terminal;
  terminal.BecomeTerminal(80, 24);
  const auto onto_terminal = MakePlainView(&terminal);
  onto_terminal->Text(0, "a\x1b[2J\n");
  onto_terminal->End(0, "");
  EXPECT_EQ(terminal.text(), "a␛[2J\n");
}

TEST(LinesViewTest, LinesComeWholeWithTheirTitles) {
  StringOutput out;
  const auto view = MakeAnswerView(&out, {"base", "pirate"});
  view->Text(0, "Hello ");
  EXPECT_EQ(out.text(), "");
  view->Text(1, "Arr\nmatey");
  EXPECT_EQ(out.text(), "pirate│ Arr\n");
  view->Text(0, "there");
  view->End(0, "");
  view->End(1, "cut off");
  EXPECT_EQ(out.text(),
            "pirate│ Arr\n"
            "base  │ Hello there\n"
            "pirate│ matey\n"
            "pirate│ ✗ cut off\n");
}

TEST(LinesViewTest, ANarrowTerminalGetsLines) {
  StringOutput out;
  out.BecomeTerminal(60, 24);
  EXPECT_TRUE(FitsColumns(out, 2));
  EXPECT_FALSE(FitsColumns(out, 3));
  const auto view = MakeAnswerView(&out, {"a", "b", "c"});
  view->Text(2, "text\n");
  EXPECT_EQ(out.text(), "c│ text\n");
}

TEST(ColumnsViewTest, AnswersStandSideBySide) {
  StringOutput out;
  out.BecomeTerminal(50, 24);  // two columns of 23
  const auto view = MakeAnswerView(&out, {"base", "pirate"});
  view->Text(0, "The capital of Spain is ");
  view->Text(1, "Arr, matey!");
  view->Text(0, "Madrid.");
  view->End(0, "");
  view->Text(1, "\nMadrid it be.");
  view->End(1, "");
  Screen screen(24);
  screen.Show(out.text());
  EXPECT_THAT(screen.Lines(), ElementsAre("base                    │ pirate",
                                          "────────────────────────┼────────────────────────",
                                          "The capital of Spain is │ Arr, matey!",
                                          "Madrid.                 │ Madrid it be."));
}

TEST(ColumnsViewTest, AFailedAnswerSaysSoInItsColumn) {
  StringOutput out;
  out.BecomeTerminal(50, 24);
  const auto view = MakeColumnsView(&out, {"base", "pirat"});
  view->End(1, "no such adapter");
  view->Text(0, "Hi");
  view->End(0, "");
  Screen screen(24);
  screen.Show(out.text());
  EXPECT_EQ(screen.Lines().back(), "Hi                      │ ✗ no such adapter");
}

// Random answers on a screen that is too low for them: whatever the order of the pieces, in the end
// each column holds its whole answer, and the cursor never leaves the screen.
TEST(ColumnsViewTest, LongAnswersScrollAndNothingIsLost) {
  std::mt19937 random(11);
  for (int round = 0; round < 50; ++round) {
    StringOutput out;
    out.BecomeTerminal(72, 8);  // three columns of 21
    const auto view = MakeColumnsView(&out, {"a", "b", "c"});
    std::vector<WrappedText> expected(3, WrappedText(21));
    std::vector<size_t> left = {random() % 200, random() % 200, random() % 200};
    Screen screen(8);
    for (size_t voice = 0; voice < 3; ++voice) {
      if (left[voice] == 0) view->End(voice, "");
    }
    while (left[0] + left[1] + left[2] > 0) {
      const size_t voice = random() % 3;
      if (left[voice] == 0) continue;
      const std::string piece = random() % 6 == 0 ? "\n" : std::string(random() % 9, 'x') + " ";
      view->Text(voice, piece);
      expected[voice].Append(piece);
      if (--left[voice] == 0) view->End(voice, "");
      screen.Show(out.text());
      out.Clear();
    }
    const std::vector<std::string> lines = screen.Lines();
    size_t longest = 0;
    for (const WrappedText& text : expected) {
      longest = std::max(longest, text.rows().size() - (text.rows().back().empty() ? 1 : 0));
    }
    ASSERT_EQ(lines.size(), longest + 2) << "round " << round;
    for (size_t row = 0; row < longest; ++row) {
      std::string want;
      for (const WrappedText& text : expected) {
        if (!want.empty()) want += " │ ";
        want += Fitted(row < text.rows().size() ? text.rows()[row] : "", 21);
      }
      want.resize(want.find_last_not_of(' ') + 1);
      ASSERT_EQ(lines[row + 2], want) << "round " << round << ", row " << row;
    }
  }
}

}  // namespace
}  // namespace chorus::cli
