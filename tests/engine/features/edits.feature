Feature: edits
  An edit replaces price and amount at once; refused, it leaves the order as it was.

  Scenario: less at the same price keeps the place in the queue
    Given Ann buys 5 PERPETUAL at 60000 as "first"
    And Bea buys 5 PERPETUAL at 60000 as "second"
    When Ann edits "first" to 2 at 60000
    Then the bids of PERPETUAL are "first" "second"
    And "first" has 2 left

  Scenario: more, or another price, goes to the end
    Given Ann buys 5 PERPETUAL at 60000 as "first"
    And Bea buys 5 PERPETUAL at 60000 as "second"
    When Ann edits "first" to 6 at 60000
    Then the bids of PERPETUAL are "second" "first"
    When Bea edits "second" to 5 at 59999
    And Bea edits "second" to 5 at 60000
    Then the bids of PERPETUAL are "first" "second"

  Scenario: the amount is the whole amount, filled lots included
    Given Ann buys 5 PERPETUAL at 60000 as "hers"
    And Dealer sells 3 PERPETUAL at 60000
    When Ann edits "hers" to 4 at 59990
    Then "hers" has 1 left, 1 of them shown, at 59990
    When Ann edits "hers" to 3 at 59990
    Then "hers" ended: BY_OWNER 0 0
    And Ann holds 3 PERPETUAL

  Scenario: an edit may trade
    Given Dealer sells 5 PERPETUAL at 60010
    And Ann buys 5 PERPETUAL at 60000 as "hers"
    When Ann edits "hers" to 5 at 60010
    Then Ann holds 5 PERPETUAL

  Scenario: refused by the margin, it leaves the order and its place
    Given Cat withdraws 999 dollars
    And Cat buys 1 PERPETUAL at 60000 as "first"
    And Bea buys 1 PERPETUAL at 60000 as "second"
    When Cat edits "first" to 2 at 60000
    Then it is refused: MARGIN 1200008 1000000
    And the bids of PERPETUAL are "first" "second"

  Scenario: an edit is gated without the order it replaces
    Given Cat withdraws 999 dollars
    And Cat buys 1 PERPETUAL at 60000 as "hers"
    When Cat edits "hers" to 1 at 60001
    Then it is taken

  Scenario: a waiting stop's trigger, price and amount
    Given Ann buys 5 PERPETUAL at 60000 once the mark turns to 60100 as "stop"
    When Ann edits "stop" to 2 at 60001, trigger 60200
    And the mark of PERPETUAL becomes 60150
    Then "stop" waits
    When the mark of PERPETUAL becomes 60200
    Then "stop" fired
    And "stop" has 2 left, 2 of them shown, at 60001

  Scenario: somebody else's order, and one that is gone
    Given Ann buys 5 PERPETUAL at 60000 as "hers"
    When Bea edits "hers" to 5 at 1
    Then it is refused: NOT_OWNER "hers" 3
    When Ann cancels "hers"
    And Ann edits "hers" to 5 at 60000
    Then it is refused: UNKNOWN_ORDER "hers" 3
