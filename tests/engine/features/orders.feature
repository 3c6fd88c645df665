Feature: what orders there are
  Prices are in ticks, quantities in lots. The mark is 60000.

  Scenario: a limit order rests, and trades at the price of the one that was there first
    When Ann buys 5 PERPETUAL at 60010 as "hers"
    And Bea sells 8 PERPETUAL at 60000 as "his"
    Then Ann holds 5 PERPETUAL
    And "hers" is gone
    And "his" has 3 left, 3 of them shown, at 60000

  Scenario: price comes before time, time before everything else
    Given Ann buys 1 PERPETUAL at 59990 as "low"
    And Bea buys 1 PERPETUAL at 60000 as "first"
    And Cat buys 1 PERPETUAL at 60000 as "second"
    Then the bids of PERPETUAL are "first" "second" "low"

  Scenario: immediate or cancel takes what there is
    Given Dealer sells 3 PERPETUAL at 60000
    When Ann buys 5 PERPETUAL at 60000, immediate or cancel as "taker"
    Then Ann holds 3 PERPETUAL
    And "taker" ended: IMMEDIATE_OR_CANCEL 0 0

  Scenario: fill or kill is whole at once or not at all
    Given Dealer sells 3 PERPETUAL at 60000
    And Dealer sells 2 PERPETUAL at 60001, showing 1
    When Ann buys 6 PERPETUAL at 60001, fill or kill
    Then it is refused: FILL_OR_KILL 6 5
    When Ann buys 5 PERPETUAL at 60001, fill or kill
    Then Ann holds 5 PERPETUAL

  Scenario: an order at market, too, may ask for all at once or nothing
    Given Dealer sells 5 PERPETUAL at 60000
    When Ann buys 6 PERPETUAL at market, fill or kill
    Then it is refused: FILL_OR_KILL 6 5
    When Ann buys 5 PERPETUAL at market, fill or kill
    Then Ann holds 5 PERPETUAL

  Scenario: what an iceberg hides behind an order of one's own cannot be had
    Given Dealer sells 100 PERPETUAL at 60000, showing 5
    And Ann sells 1 PERPETUAL at 60000 as "own"
    When Ann buys 6 PERPETUAL at 60000, fill or kill
    Then it is refused: FILL_OR_KILL 6 5
    When Ann buys 6 PERPETUAL at 60000, fill or kill, cancelling oldest of its own
    Then Ann holds 6 PERPETUAL
    And "own" is gone

  Scenario: good till date goes when its time has come
    When Ann buys 1 PERPETUAL for 100 ns at 60000 as "day"
    And 99 ns pass
    Then "day" has 1 left
    When 1 ns pass
    Then "day" ended: GOOD_TILL_DATE now now

  Scenario: post only never takes
    Given Dealer sells 1 PERPETUAL at 60000
    When Ann buys 1 PERPETUAL at 60005, post only
    Then it is refused: POST_ONLY 60005 60000
    When Ann buys 1 PERPETUAL at 60005, post only or one tick away as "slid"
    Then "slid" has 1 left, 1 of them shown, at 59999
    When Ann buys 1 PERPETUAL at 59999, post only
    Then it is taken

  Scenario: reduce only needs a position and stops at nothing
    When Ann sells 3 PERPETUAL at 60000, reduce only
    Then it is refused: NOT_REDUCING 3 0
    Given Dealer sells 5 PERPETUAL at 60000
    And Ann buys 5 PERPETUAL at 60000
    When Ann sells 4 PERPETUAL at 60010, reduce only as "one"
    And Ann sells 4 PERPETUAL at 60011, reduce only as "two"
    And Dealer buys 20 PERPETUAL at 60011
    Then Ann holds 0 PERPETUAL
    And "two" ended: REDUCED 0 0
    And "one" is gone

  Scenario: an iceberg shows a part, and a part shown anew is last in its queue
    Given Ann sells 10 PERPETUAL at 60000, showing 4 as "berg"
    And Bea sells 1 PERPETUAL at 60000 as "small"
    When Dealer buys 3 PERPETUAL at 60000
    Then "berg" has 7 left, 1 of them shown
    And the asks of PERPETUAL are "berg" "small"
    When Dealer buys 1 PERPETUAL at 60000
    Then "berg" has 6 left, 4 of them shown
    And the asks of PERPETUAL are "small" "berg"
    When Dealer buys 8 PERPETUAL at 60000, immediate or cancel
    Then "berg" is gone
    And Ann holds -10 PERPETUAL

  Scenario: hidden lots are counted in the margin
    Given Cat withdraws 900 dollars
    When Cat buys 200 PERPETUAL at 60000, showing 1
    Then it is refused: MARGIN 120000008 100000000

  Scenario: a display larger than the order, or of one that never rests
    When Ann buys 5 PERPETUAL at 60000, showing 6
    Then it is refused: DISPLAY 6 5
    When Ann buys 5 PERPETUAL at 60000, showing 1, immediate or cancel
    Then it is refused: DISPLAY 1 0

  Scenario: flags that do not go together
    When Ann buys 5 PERPETUAL at 60000, post only, immediate or cancel
    Then it is refused: ORDER_FORM 0 1

  Scenario: cancelled by label
    Given Ann buys 1 PERPETUAL at 60000, labelled 7 as "seven"
    And Ann buys 1 PERPETUAL at 60000, labelled 8 as "eight"
    When Ann cancels everything labelled 7
    Then "seven" ended: BY_OWNER 0 0
    And the bids of PERPETUAL are "eight"
