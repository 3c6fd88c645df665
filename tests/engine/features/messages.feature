Feature: C06 to C10, who may send what, and how often

  @C06
  Scenario: three orders at once, then one each 100 nanoseconds
    Given Ann may send one message each 100 ns, 3 at once
    And Ann may cancel once each 100 ns, 1 at once
    When Ann buys 1 PERPETUAL at 60000 as "one"
    And Ann buys 1 PERPETUAL at 60000 as "two"
    And Ann buys 1 PERPETUAL at 60000
    And Ann buys 1 PERPETUAL at 60000
    Then it is refused: THROTTLED 97 100
    When Ann cancels "one"
    Then it is taken
    When Ann cancels "two"
    Then it is refused: THROTTLED 99 100
    When 95 ns pass
    And Ann buys 1 PERPETUAL at 60000
    Then it is taken

  @C07
  Scenario: a strategy that trades again and again is stopped until people re-arm it
    Given each strategy of Ann may execute 2 times in 1000 ns
    And Dealer sells 9 PERPETUAL at 60000
    When Ann buys 1 PERPETUAL at 60000, for strategy 5
    And Ann buys 1 PERPETUAL at 60000, for strategy 5
    Then strategy 5 of Ann is stopped
    When 100000 ns pass
    And Ann buys 1 PERPETUAL at 60000, for strategy 5
    Then it is refused: STRATEGY_STOPPED 5 2
    When somebody re-arms strategy 5 of Ann
    Then it is refused: PEOPLE_REQUIRED 0 5
    When people re-arm strategy 5 of Ann
    And Ann buys 1 PERPETUAL at 60000, for strategy 5
    Then Ann holds 3 PERPETUAL

  @C08
  Scenario: the same id again is the same order
    When Ann buys 1 PERPETUAL at 60000, under id 7 as "first"
    And Ann sells 9 ETHER at 1, under id 7
    Then it is answered with the first order, "first"
    When Bea buys 1 PERPETUAL at 60000, under id 7
    Then it is taken

  @C09
  Scenario: Ann meets herself and the newest goes
    Given Ann sells 5 PERPETUAL at 60000 as "old"
    When Ann buys 3 PERPETUAL at 60000 as "new"
    Then "new" ended: SELF_MATCH "old" 0
    And "old" has 5 left

  @C09
  Scenario: the oldest goes
    Given Ann sells 5 PERPETUAL at 60000 as "old"
    When Ann buys 3 PERPETUAL at 60000, cancelling oldest of its own as "new"
    Then "old" ended: SELF_MATCH "new" 0
    And "new" has 3 left

  @C09
  Scenario: both go
    Given Ann sells 5 PERPETUAL at 60000 as "old"
    When Ann buys 3 PERPETUAL at 60000, cancelling both of its own as "new"
    Then "old" ended: SELF_MATCH "new" 0
    And "new" ended: SELF_MATCH "old" 0

  @C09
  Scenario: both are made smaller
    Given Ann sells 5 PERPETUAL at 60000 as "old"
    When Ann buys 3 PERPETUAL at 60000, decrementing against its own as "new"
    Then "old" has 2 left
    And "new" ended: SELF_MATCH "old" 0
    And Ann holds 0 PERPETUAL

  @C09
  Scenario: accounts of one owner meet like one account
    Given owner Smith of Ann and Bea
    And Ann sells 5 PERPETUAL at 60000 as "old"
    When Bea buys 3 PERPETUAL at 60000 as "new"
    Then "new" ended: SELF_MATCH "old" 0

  @C10
  Scenario: what Ann may not
    Given Dealer sells 2 PERPETUAL at 60000
    And Ann buys 2 PERPETUAL at 60000
    And Ann may not trade in FUTURE
    And Ann may not open positions
    When Ann buys 1 FUTURE at 60000
    Then it is refused: FORBIDDEN 2 3
    When Ann buys 1 PERPETUAL at 60000
    Then it is refused: FORBIDDEN 1 1
    When Ann sells 2 PERPETUAL at 60000
    Then it is taken

  @C10
  Scenario: money that may not leave
    Given Ann may not withdraw
    When Ann withdraws 1 dollar
    Then it is refused: FORBIDDEN 4 4
