Feature: orders that wait
  They reserve nothing until they fire; then they pass every check and the gate, like an order sent that moment.

  Scenario: a stop sells when the mark has fallen to its trigger
    Given Dealer sells 5 PERPETUAL at 60000
    And Ann buys 5 PERPETUAL at 60000
    And Dealer buys 5 PERPETUAL at 59000
    When Ann sells 5 PERPETUAL at 58900 once the mark turns to 59500 as "stop"
    Then "stop" waits
    When the mark of PERPETUAL becomes 59501
    Then "stop" waits
    When the mark of PERPETUAL becomes 59500
    Then "stop" fired
    And Ann holds 0 PERPETUAL

  Scenario: a take profit sells when the mark has risen to its trigger
    Given Dealer sells 5 PERPETUAL at 60000
    And Ann buys 5 PERPETUAL at 60000
    And Dealer buys 5 PERPETUAL at 60900
    When Ann sells 5 PERPETUAL at market once the mark is as good as 61000 as "take"
    And the mark of PERPETUAL becomes 61000
    Then "take" fired
    And Ann holds 0 PERPETUAL

  Scenario: a trade's price sets off the stops that watch it
    Given Ann buys 1 PERPETUAL at 60010 once the last turns to 60005 as "stop"
    And Dealer sells 2 PERPETUAL at 60005
    When Bea buys 1 PERPETUAL at 60005
    Then "stop" fired
    And Ann holds 1 PERPETUAL

  Scenario: an index price sets off those that watch the index, once there is one
    When Ann sells 1 PERPETUAL at market once the index turns to 59000 as "stop"
    Then it is refused: NO_PRICE 0 1
    Given the index of PERPETUAL becomes 60000
    And Ann sells 1 PERPETUAL at market once the index turns to 59000 as "stop"
    When the index of PERPETUAL becomes 58000
    Then "stop" fired

  Scenario: a stop already reached fires at once
    When Ann buys 1 PERPETUAL at 60000 once the mark turns to 60000 as "stop"
    Then "stop" fired

  Scenario: a take profit with a limit rests there once it fired
    Given Dealer sells 5 PERPETUAL at 60000
    And Ann buys 5 PERPETUAL at 60000
    And Dealer buys 2 PERPETUAL at 60950
    When Ann sells 5 PERPETUAL at 60950 once the mark is as good as 61000 as "take"
    Then "take" waits
    When the mark of PERPETUAL becomes 61000
    Then "take" fired
    And Ann holds 3 PERPETUAL
    When Dealer buys 3 PERPETUAL at 60950
    Then Ann holds 0 PERPETUAL

  Scenario: a take profit watches the last price, or the index
    Given Dealer sells 3 PERPETUAL at 60000
    And Ann buys 2 PERPETUAL at 60000
    And Ann sells 1 PERPETUAL at market once the last is as good as 60100 as "first"
    And the index of PERPETUAL becomes 60000
    And Ann sells 1 PERPETUAL at market once the index is as good as 60200 as "second"
    And Dealer buys 2 PERPETUAL at 59900
    When Bea buys 1 PERPETUAL at 60000
    Then "first" waits
    When Dealer sells 1 PERPETUAL at 60100
    And Bea buys 1 PERPETUAL at 60100
    Then "first" fired
    When the index of PERPETUAL becomes 60199
    Then "second" waits
    When the index of PERPETUAL becomes 60200
    Then "second" fired
    And Ann holds 0 PERPETUAL

  Scenario: a trailing stop on the index moves with it at publications, and fires by it
    Given the index of PERPETUAL becomes 60000
    And Dealer buys 1 PERPETUAL at 59000
    And Ann sells 1 PERPETUAL trailing the index by 500 as "trail"
    When the index of PERPETUAL becomes 60400
    And the marks are published again
    And the index of PERPETUAL becomes 59901
    Then "trail" waits
    When the index of PERPETUAL becomes 59900
    Then "trail" fired

  Scenario: a trailing stop follows at publications, and never back
    Given Dealer buys 1 PERPETUAL at 59000
    And Ann sells 1 PERPETUAL trailing the mark by 500 as "trail"
    When the mark of PERPETUAL becomes 60400
    And the mark of PERPETUAL becomes 60000
    Then "trail" waits
    When the mark of PERPETUAL becomes 59900
    Then "trail" fired
    And Ann holds -1 PERPETUAL

  Scenario: a trailing stop on the last price moves only when marks are published
    Given Dealer sells 1 PERPETUAL at 60000
    And Bea buys 1 PERPETUAL at 60000
    And Ann sells 1 PERPETUAL trailing the last by 100 as "trail"
    And Dealer sells 1 PERPETUAL at 60500
    And Bea buys 1 PERPETUAL at 60500
    And Dealer sells 2 PERPETUAL at 60350
    When Bea buys 1 PERPETUAL at 60350
    Then "trail" waits
    When the marks are published again
    And Dealer sells 1 PERPETUAL at 60250
    And Bea buys 2 PERPETUAL at 60250
    Then "trail" fired

  Scenario: a stop that fires without margin is cancelled with the reason
    Given Cat withdraws 999 dollars
    When Cat buys 2 PERPETUAL at 60000 once the mark turns to 60001 as "stop"
    Then "stop" waits
    When the mark of PERPETUAL becomes 60001
    Then "stop" fired
    And "stop" ended: MARGIN 1199828 1000000

  Scenario: stops fire nearest trigger first, then oldest first
    Given Dealer sells 1 PERPETUAL at 60000
    And Ann buys 1 PERPETUAL at market once the mark turns to 60200 as "far"
    And Bea buys 1 PERPETUAL at market once the mark turns to 60100 as "near"
    When the mark of PERPETUAL becomes 60300
    Then "near" fired
    And "far" fired
    And Bea holds 1 PERPETUAL
    And Ann holds 0 PERPETUAL

  Scenario: while halted nothing fires; reopened, what was passed does
    Given Ann buys 1 PERPETUAL at 60000 once the mark turns to 60100 as "stop"
    And something sets PERPETUAL to HALTED
    When the mark of PERPETUAL becomes 60200
    Then "stop" waits
    When people set PERPETUAL to OPEN
    Then "stop" fired

  Scenario: a trigger is a price
    When Ann buys 1 PERPETUAL at 60000 once the mark turns to 0 as "stop"
    Then it is refused: TRIGGER 0 262144

  Scenario: a waiting stop counts among the open orders, and is cancelled like one
    Given Ann may have at most 1 orders open
    And Ann buys 1 PERPETUAL at 60000 once the mark turns to 60100 as "stop"
    When Ann buys 1 PERPETUAL at 60000
    Then it is refused: OPEN_ORDERS 2 1
    When Ann cancels "stop"
    Then "stop" ended: BY_OWNER 0 0
